//! What a plugin gets of the configuration: its own table, and nothing of any other.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use imapper_core::limits::Limits;
use secrecy::SecretString;

use crate::config::{Key, Kind, Position, Problem, Table, Unfit, Value, texts, unknown};

/// Why a plugin can't be opened: one line for the operator. Any error becomes one by `?`.
pub struct PluginError(String);

impl PluginError {
    /// An error with that text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PluginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for PluginError {
    fn from(error: E) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let inner = error.to_string();
            if !text.contains(&inner) {
                text = format!("{text}: {inner}");
            }
            cause = error.source();
        }
        Self(text)
    }
}

/// The table of a plugin: `[storage]` or `[users]`, whose keys all belong to the plugin, but for `plugin`.
///
/// The keys that a plugin asks for are those that it knows: when it has been opened, a key that stands in the
/// table and that was never asked for is an error that names the nearest one. So ask for all of them.
#[derive(Clone)]
pub struct PluginConfig {
    inner: Arc<Inner>,
    shared_accounts: Vec<String>,
    append_limit: u64,
}

struct Inner {
    section: &'static str,
    plugin: String,
    plugin_at: Position,
    table: Table,
    file: String,
    base: PathBuf,
    asked: Mutex<BTreeSet<String>>,
}

impl fmt::Debug for PluginConfig {
    /// Without the values, some of which are secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.inner.section, self.inner.plugin)
    }
}

impl PluginConfig {
    pub(crate) fn new(
        section: &'static str,
        plugin: &str,
        plugin_at: Position,
        table: Table,
        file: &str,
        base: &Path,
    ) -> Self {
        let asked = Mutex::new(BTreeSet::from(["plugin".to_owned()]));
        let (plugin, file, base) = (plugin.to_owned(), file.to_owned(), base.to_owned());
        let inner = Arc::new(Inner { section, plugin, plugin_at, table, file, base, asked });
        Self { inner, shared_accounts: Vec::new(), append_limit: Limits::default().append }
    }

    /// The users of `--storage` without `[users]`: testuser, testpass, testtoken.
    pub(crate) fn throwaway_user() -> Self {
        let at = Position::default();
        let entry = |name: &str, kind| (Key { name: name.to_owned(), at }, Value { kind, at });
        let pair = |value: &str| {
            let entries = vec![entry("testuser", Kind::String(value.to_owned()))];
            Kind::Table(Table { entries, at })
        };
        let entries = vec![entry("accounts", pair(&testuser_hash())), entry("tokens", pair("testtoken"))];
        Self::new("users", "static", at, Table { entries, at }, "the command line", Path::new(""))
    }

    /// The plugin's name.
    pub fn plugin(&self) -> &str {
        &self.inner.plugin
    }

    /// The accounts that own shared namespaces: trees without a user, so without an INBOX of their own.
    pub fn shared_accounts(&self) -> &[String] {
        &self.shared_accounts
    }

    pub(crate) fn with_shared_accounts(mut self, accounts: Vec<String>) -> Self {
        self.shared_accounts = accounts;
        self
    }

    /// The octets of the largest message that a client may bring: `[limits] append`.
    pub fn append_limit(&self) -> u64 {
        self.append_limit
    }

    pub(crate) fn with_append_limit(mut self, octets: u64) -> Self {
        self.append_limit = octets;
        self
    }

    /// A string.
    pub fn text(&self, key: &str) -> Result<Option<String>, PluginError> {
        self.read(key, |value| value.text().map(str::to_owned))
    }

    /// A string that must be there.
    pub fn required_text(&self, key: &str) -> Result<String, PluginError> {
        self.text(key)?.ok_or_else(|| self.missing(key))
    }

    /// A path; a relative one begins at the folder of the configuration file.
    pub fn path(&self, key: &str) -> Result<Option<PathBuf>, PluginError> {
        Ok(self.text(key)?.map(|path| self.inner.base.join(path)))
    }

    /// A path that must be there.
    pub fn required_path(&self, key: &str) -> Result<PathBuf, PluginError> {
        self.path(key)?.ok_or_else(|| self.missing(key))
    }

    /// A truth value.
    pub fn boolean(&self, key: &str) -> Result<Option<bool>, PluginError> {
        self.read(key, Value::boolean)
    }

    /// A number of things: 0 and above.
    pub fn count(&self, key: &str) -> Result<Option<u64>, PluginError> {
        self.read(key, Value::count)
    }

    /// A number of octets, written as `"64 KiB"` or as an integer.
    pub fn size(&self, key: &str) -> Result<Option<u64>, PluginError> {
        self.read(key, Value::size)
    }

    /// Names with a number of things each: `key = { john = 100 }`.
    pub fn counts(&self, key: &str) -> Result<Vec<(String, u64)>, PluginError> {
        self.each(key, Value::count)
    }

    /// Names with a number of octets each: `key = { john = "64 KiB" }`.
    pub fn sizes(&self, key: &str) -> Result<Vec<(String, u64)>, PluginError> {
        self.each(key, Value::size)
    }

    /// A time, written as `"30 min"`.
    pub fn duration(&self, key: &str) -> Result<Option<Duration>, PluginError> {
        self.read(key, Value::duration)
    }

    /// A list of strings.
    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>, PluginError> {
        self.read(key, texts)
    }

    /// Any value, as JSON text.
    pub fn json(&self, key: &str) -> Result<Option<String>, PluginError> {
        self.read(key, |value| Ok(value.to_json().to_string()))
    }

    /// A secret: `key = "…"`, or `key_file = "/run/secrets/x"`, whose last end of line does not count.
    pub fn secret(&self, key: &str) -> Result<Option<SecretString>, PluginError> {
        // An error about a secret does not show it.
        let text =
            |value: &Value| value.text().map(str::to_owned).map_err(|_| Unfit("must be a string".to_owned()));
        let inline = self.read(key, text)?;
        let file = self.secret_file(key)?;
        match (inline, file) {
            (Some(_), Some(_)) => Err(self.both(key)),
            (Some(secret), None) => Ok(Some(secret.into())),
            (None, Some(text)) => Ok(Some(text.trim_end_matches(['\r', '\n']).into())),
            (None, None) => Ok(None),
        }
    }

    /// Names with a secret each: `key = { john = "…" }`, or a file of `john:…` lines under `key_file`.
    /// Empty lines of the file and those that begin with `#` are left out.
    pub fn secrets(&self, key: &str) -> Result<Option<Vec<(String, SecretString)>>, PluginError> {
        let inline = self.read(key, secret_pairs)?;
        let file = self.secret_file(key)?;
        let (pairs, text) = match (inline, file) {
            (Some(_), Some(_)) => return Err(self.both(key)),
            (inline, None) => return Ok(inline),
            (None, Some(text)) => (Vec::new(), text),
        };
        let mut pairs: Vec<(String, SecretString)> = pairs;
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let Some((name, secret)) = line.split_once(':') else {
                let path = self.text(&format!("{key}_file"))?.unwrap_or_default();
                return Err(PluginError(format!("{path}:{}: `name:secret` is expected", number + 1)));
            };
            pairs.push((name.to_owned(), secret.into()));
        }
        Ok(Some(pairs))
    }

    /// An error about a key, with its place.
    pub fn wrong(&self, key: &str, what: impl fmt::Display) -> PluginError {
        let at = self.inner.table.get(key).map_or(self.inner.table.at, |value| value.at);
        self.error(at, format!("`{key}` {what}"))
    }

    fn secret_file(&self, key: &str) -> Result<Option<String>, PluginError> {
        let key = format!("{key}_file");
        let Some(path) = self.path(&key)? else { return Ok(None) };
        std::fs::read_to_string(&path)
            .map(Some)
            .map_err(|error| self.wrong(&key, format!("can't be read: {}: {error}", path.display())))
    }

    fn read<'a, T>(
        &'a self,
        key: &str,
        read: impl FnOnce(&'a Value) -> Result<T, Unfit>,
    ) -> Result<Option<T>, PluginError> {
        self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner).insert(key.to_owned());
        self.inner.table.get(key).map(|value| read(value).map_err(|unfit| self.wrong(key, unfit))).transpose()
    }

    /// The values of a table; none where there is no table.
    fn each<T>(
        &self,
        key: &str,
        read: impl Fn(&Value) -> Result<T, Unfit>,
    ) -> Result<Vec<(String, T)>, PluginError> {
        let all = self.read(key, |value| {
            let pair = |(key, value): &(Key, Value)| Ok((key.name.clone(), read(value)?));
            value.table()?.entries.iter().map(pair).collect()
        });
        Ok(all?.unwrap_or_default())
    }

    fn both(&self, key: &str) -> PluginError {
        self.wrong(key, format!("and `{key}_file` can't both be given"))
    }

    fn missing(&self, key: &str) -> PluginError {
        let Inner { section, plugin, .. } = &*self.inner;
        self.error(self.inner.plugin_at, format!("`{key}` is missing in [{section}], which {plugin:?} needs"))
    }

    fn error(&self, at: Position, what: String) -> PluginError {
        PluginError(Problem::at(&self.inner.file, at, what).to_string())
    }

    /// A problem at the plugin's name.
    pub(crate) fn problem(&self, what: impl fmt::Display) -> Problem {
        Problem::at(&self.inner.file, self.inner.plugin_at, what)
    }

    /// What opening failed with, with the plugin's place where the error tells none itself.
    pub(crate) fn failed(&self, error: &PluginError) -> Problem {
        if error.0.starts_with(&self.inner.file) {
            return Problem::new(error.0.clone());
        }
        self.problem(format!("{} plugin {:?}: {error}", self.inner.section, self.inner.plugin))
    }

    /// The keys that nobody asked for.
    pub(crate) fn unknown_keys(&self) -> Vec<Problem> {
        let asked = self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let known: Vec<&str> = asked.iter().map(String::as_str).collect();
        let keys = self.inner.table.entries.iter().map(|(key, _)| key);
        keys.filter(|key| !asked.contains(&key.name))
            .map(|key| Problem::at(&self.inner.file, key.at, unknown(key, self.inner.section, &known)))
            .collect()
    }
}

/// The hash of testuser's password, at the cheapest cost: everybody knows the password anyway.
pub(crate) fn testuser_hash() -> String {
    bcrypt::hash("testpass", 4).unwrap_or_default()
}

fn secret_pairs(value: &Value) -> Result<Vec<(String, SecretString)>, Unfit> {
    let wanted = || Unfit("must be a table of strings: { name = \"…\" }".to_owned()); // and never the value
    let table = value.table().map_err(|_| wanted())?;
    let pair = |(key, value): &(Key, Value)| {
        value.text().map(|text| (key.name.clone(), text.into())).map_err(|_| wanted())
    };
    table.entries.iter().map(pair).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::cli::Options;
    use crate::config::Config;

    fn storage(keys: &str) -> PluginConfig {
        let text = format!("[storage]\nplugin = \"mine\"\n{keys}\n[users]\nplugin = \"static\"\n");
        Config::parse("x.toml", &text, false, Path::new("/base"), &Options::default()).unwrap().storage
    }

    #[test]
    fn values_are_typed_and_errors_tell_the_place() {
        let config =
            storage("path = \"mail\"\nfsync = true\nsize = \"1 KiB\"\nwait = \"2 s\"\nn = 3\nl = [\"a\"]");
        assert_eq!(config.plugin(), "mine");
        assert_eq!(config.required_path("path").unwrap(), PathBuf::from("/base/mail"));
        assert_eq!(config.boolean("fsync").unwrap(), Some(true));
        assert_eq!(config.size("size").unwrap(), Some(1024));
        assert_eq!(config.duration("wait").unwrap(), Some(Duration::from_secs(2)));
        assert_eq!(config.count("n").unwrap(), Some(3));
        assert_eq!(config.texts("l").unwrap().unwrap(), ["a"]);
        let each = storage("s = { john = \"1 KiB\" }\nc = { john = 7, jill = -1 }");
        assert_eq!(each.sizes("s").unwrap(), [("john".to_owned(), 1024)]);
        let said = each.counts("c").unwrap_err().to_string();
        assert_eq!(said, "x.toml:4:5: `c` must be a number, 0 or above, not -1");
        assert_eq!(each.counts("absent").unwrap(), []);
        assert_eq!(config.text("absent").unwrap(), None);
        let said = config.text("fsync").unwrap_err().to_string();
        assert_eq!(said, "x.toml:4:9: `fsync` must be a string, not true");
        let said = config.required_text("bucket").unwrap_err().to_string();
        assert_eq!(said, "x.toml:2:10: `bucket` is missing in [storage], which \"mine\" needs");
    }

    #[test]
    fn a_key_that_nobody_asked_for_is_unknown() {
        let config = storage("pth = \"mail\"");
        let _ = config.path("path");
        let said: Vec<_> = config.unknown_keys().iter().map(ToString::to_string).collect();
        let want = "x.toml:3:1: unknown key `pth` in [storage]; did you mean `path`? (allowed: path, plugin)";
        assert_eq!(said, [want]);
    }

    #[test]
    fn json_keeps_the_shape() {
        let config = storage("data = { INBOX = { messages = [{ raw = \"x\", uid = 7 }] } }");
        let json = config.json("data").unwrap().unwrap();
        assert_eq!(json, r#"{"INBOX":{"messages":[{"raw":"x","uid":7}]}}"#);
    }

    #[test]
    fn secrets_come_inline_or_from_a_file_and_never_show() {
        let folder = std::env::temp_dir().join(format!("imapper-secrets-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("one"), "hush\n").unwrap();
        std::fs::write(folder.join("many"), "# users\njohn:$2b$x\n\njill:a:b\n").unwrap();
        let config = storage(&format!(
            "a = \"hush\"\nb_file = \"{0}/one\"\nc = \"x\"\nc_file = \"{0}/one\"\nd_file = \"{0}/many\"\ne = 7\nf_file = \"{0}/none\"\ng = 12345",
            folder.display()
        ));
        let shown = |key| config.secret(key).unwrap().unwrap().expose_secret().to_owned();
        assert_eq!((shown("a"), shown("b")), ("hush".to_owned(), "hush".to_owned()));
        assert!(config.secret("c").unwrap_err().to_string().contains("`c` and `c_file` can't both be given"));
        let many = config.secrets("d").unwrap().unwrap();
        let many: Vec<_> =
            many.iter().map(|(name, secret)| (name.as_str(), secret.expose_secret())).collect();
        assert_eq!(many, [("john", "$2b$x"), ("jill", "a:b")]);
        assert!(config.secrets("e").is_err());
        assert_eq!(config.secret("g").unwrap_err().to_string(), "x.toml:10:5: `g` must be a string");
        assert!(config.secret("f").unwrap_err().to_string().contains("`f_file` can't be read"));
        assert_eq!(format!("{config:?}"), "[storage] mine");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
