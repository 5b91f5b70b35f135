//! Which folder is which account's.

use std::io;
use std::path::{Path, PathBuf};

/// The part of a path before the first that an account fills in; `None` if there is none.
pub(crate) fn fixed(path: &Path) -> Option<PathBuf> {
    let mut fixed = PathBuf::new();
    for component in path.components() {
        let text = component.as_os_str().to_string_lossy();
        if ["{user}", "{local}", "{domain}"].iter().any(|word| text.contains(word)) {
            return Some(fixed);
        }
        fixed.push(component);
    }
    None
}

/// The folder of an account; `None` if its name would lead elsewhere.
pub(crate) fn place(template: &Path, account: &str) -> Option<PathBuf> {
    let (local, domain) = account.rsplit_once('@').unwrap_or((account, ""));
    let mut place = PathBuf::new();
    for component in template.components() {
        let text = component.as_os_str();
        let Some(words) = text.to_str().filter(|text| text.contains('{')) else {
            place.push(component);
            continue;
        };
        let mut filled = words.to_owned();
        for (word, value) in [("{user}", account), ("{local}", local), ("{domain}", domain)] {
            if !filled.contains(word) {
                continue;
            }
            let harmless = !value.is_empty()
                && !value.starts_with('.')
                && !value.contains(['/', '\0', '{', '}'])
                && !value.chars().any(char::is_control);
            if !harmless {
                return None;
            }
            filled = filled.replace(word, value);
        }
        if filled.len() > 255 {
            return None;
        }
        place.push(filled);
    }
    Some(place)
}

/// The accounts that have a folder.
pub(crate) fn accounts(template: &Path) -> io::Result<Vec<String>> {
    let mut found = vec![(PathBuf::new(), Filled::default())];
    for component in template.components() {
        let text = component.as_os_str().to_string_lossy();
        if !text.contains('{') {
            for (path, _) in &mut found {
                path.push(component);
            }
            continue;
        }
        let mut below = Vec::new();
        for (path, filled) in found {
            let entries = match std::fs::read_dir(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                entries => entries?,
            };
            for entry in entries {
                let entry = entry?;
                let (name, is_folder) = (entry.file_name(), entry.file_type()?.is_dir());
                if let Some(filled) =
                    name.to_str().filter(|_| is_folder).and_then(|name| filled.with(&text, name))
                {
                    below.push((entry.path(), filled));
                }
            }
        }
        found = below;
    }
    Ok(found.into_iter().filter_map(|(_, filled)| filled.account()).collect())
}

/// What is known of an account's name.
#[derive(Clone, Debug, Default)]
struct Filled {
    user: Option<String>,
    local: Option<String>,
    domain: Option<String>,
}

impl Filled {
    /// What a folder's name says where the pattern has one of the words.
    fn with(&self, pattern: &str, name: &str) -> Option<Self> {
        let word = ["{user}", "{local}", "{domain}"].into_iter().find(|word| pattern.contains(word))?;
        let (before, after) = pattern.split_once(word)?;
        let inner = Some(name.strip_prefix(before)?.strip_suffix(after)?.to_owned());
        let known = self.clone();
        Some(match word {
            "{user}" => Self { user: inner, ..known },
            "{local}" => Self { local: inner, ..known },
            _ => Self { domain: inner, ..known },
        })
    }

    fn account(&self) -> Option<String> {
        match (&self.user, &self.local, &self.domain) {
            (Some(user), ..) => Some(user.clone()),
            (None, Some(local), Some(domain)) => Some(format!("{local}@{domain}")),
            (None, Some(local), None) => Some(local.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(template: &str, account: &str) -> Option<String> {
        place(Path::new(template), account).map(|path| path.display().to_string())
    }

    #[test]
    fn an_account_fills_its_place_in_the_path() {
        assert_eq!(at("/mail/{user}", "john@x.org").unwrap(), "/mail/john@x.org");
        assert_eq!(at("/mail/{domain}/{local}/m", "john@x.org").unwrap(), "/mail/x.org/john/m");
        assert_eq!(at("/mail/u-{local}", "john").unwrap(), "/mail/u-john");
    }

    #[test]
    fn a_name_that_would_lead_elsewhere_is_refused() {
        for name in ["..", ".", "a/b", "/etc", "", ".hidden", "a\0b", "a\nb", "{local}", &"x".repeat(256)] {
            assert_eq!(at("/mail/{user}", name), None, "{name:?}");
        }
        assert_eq!(at("/mail/{domain}/{local}", "john"), None);
        assert_eq!(at("/mail/{domain}/{local}", "john@.."), None);
    }

    #[test]
    fn a_path_without_an_account_in_it_is_refused() {
        assert_eq!(fixed(Path::new("/mail/all")), None);
        assert_eq!(fixed(Path::new("/mail/{user}/m")).unwrap(), Path::new("/mail"));
    }
}
