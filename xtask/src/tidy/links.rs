//! A link in our pages leads somewhere: the file or folder is there, and the heading in it, too. Links to our own
//! repository on the web count as links to its files, since a page of the book can't reach those otherwise.

use std::path::Path;

use super::Finding;
use super::tree::Tree;

/// Where our files are on the web.
const OURS: [&str; 2] =
    ["https://github.com/imapper/imapper/blob/main/", "https://github.com/imapper/imapper/tree/main/"];
/// The pages of the book, and the one that lists them.
const BOOK: &str = "docs/";
const CONTENTS: &str = "docs/SUMMARY.md";

pub(super) fn check(tree: &Tree, findings: &mut Vec<Finding>) {
    let mut contents = Vec::new();
    for file in tree.files.iter().filter(|file| is_page(&file.path)) {
        for link in links(&file.text) {
            let Some(place) = place(&file.path, link.target) else { continue };
            if let Err(why) = follow(tree, &place) {
                let message = format!("the link to {} leads nowhere: {why}", link.target);
                findings.push(Finding::error(&file.path, link.line, message));
            }
            if file.path == CONTENTS {
                contents.push(place.path);
            }
        }
    }
    if tree.get(CONTENTS).is_none() {
        return;
    }
    for file in tree.files.iter().filter(|file| file.path.starts_with(BOOK) && is_page(&file.path)) {
        if file.path != CONTENTS && !contents.contains(&file.path) {
            findings.push(Finding::error(&file.path, 1, format!("this page is not listed in {CONTENTS}")));
        }
    }
}

fn is_page(path: &str) -> bool {
    Path::new(path).extension().is_some_and(|extension| extension == "md")
}

/// A link as a page writes it.
#[derive(Debug, PartialEq, Eq)]
struct Link<'a> {
    target: &'a str,
    /// Counted from 1.
    line: usize,
}

/// What a link leads to.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// From the root of the workspace; empty for the root itself.
    path: String,
    /// The heading, as an anchor.
    anchor: Option<String>,
}

/// The lines of a page that are no sample, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut sample = false;
    text.lines().zip(1..).filter_map(move |(line, number)| {
        let fence = line.trim_start().starts_with("```");
        sample ^= fence;
        (!fence && !sample).then_some((number, line))
    })
}

/// The links of a page, but for those in samples and in `code`.
fn links(text: &str) -> Vec<Link<'_>> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // What is code stands between an odd and an even backtick.
        let mut places = line.match_indices("](").filter(|(at, _)| {
            line.get(..*at).is_some_and(|before| {
                let text = before.rfind('[').and_then(|open| before.get(..open)).unwrap_or(before);
                text.matches('`').count().is_multiple_of(2)
            })
        });
        found.extend(places.by_ref().filter_map(|(at, open)| {
            let target = line.get(at.saturating_add(open.len())..)?;
            let target = target.split_once(')')?.0;
            Some(Link { target, line: number })
        }));
    }
    found
}

/// What a link on that page leads to; `None` if it leads out of the project, or is no path.
fn place(page: &str, target: &str) -> Option<Place> {
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let anchor = anchor.map(str::to_owned);
    if let Some(path) = OURS.iter().find_map(|ours| path.strip_prefix(ours)) {
        return Some(Place { path: path.trim_end_matches('/').to_owned(), anchor });
    }
    // An address, or a name of Rust.
    if path.contains(':') {
        return None;
    }
    if path.is_empty() {
        return Some(Place { path: page.to_owned(), anchor });
    }
    let mut steps: Vec<&str> = page.split('/').collect();
    steps.pop();
    for step in path.split('/') {
        match step {
            "" | "." => {}
            // Above the root nothing is found, as it should be.
            ".." if steps.last().is_some_and(|step| *step != "..") => {
                steps.pop();
            }
            step => steps.push(step),
        }
    }
    Some(Place { path: steps.join("/"), anchor })
}

/// Whether there is such a place.
fn follow(tree: &Tree, place: &Place) -> Result<(), String> {
    let folder = format!("{}/", place.path);
    let Some(file) = tree.get(&place.path) else {
        let is_folder = place.path.is_empty() || tree.files.iter().any(|file| file.path.starts_with(&folder));
        return if is_folder { Ok(()) } else { Err(format!("there is no {}", place.path)) };
    };
    match &place.anchor {
        Some(anchor) if is_page(&file.path) && !anchors(&file.text).contains(anchor) => {
            Err(format!("{} has no such heading", place.path))
        }
        _ => Ok(()),
    }
}

/// The anchors of a page's headings, as forges make them.
fn anchors(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        let heading = line.trim_start_matches('#');
        if heading.len() == line.len() || !heading.starts_with(' ') {
            continue;
        }
        let kept = |sign: &char| sign.is_alphanumeric() || matches!(sign, ' ' | '-' | '_');
        let anchor = heading.trim().to_lowercase().chars().filter(kept).collect::<String>().replace(' ', "-");
        let again = |number: usize| if number == 0 { anchor.clone() } else { format!("{anchor}-{number}") };
        found.extend((0..=found.len()).map(again).find(|anchor| !found.contains(anchor)));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_samples_are_none() {
        let text = "[a](b.md) and [`c`](d.md#e)\n```\n[no](f.md)\n```\n`[no](g.md)` [h](i/)\n";
        let link = |target, line| Link { target, line };
        assert_eq!(links(text), [link("b.md", 1), link("d.md#e", 1), link("i/", 5)]);
    }

    #[test]
    fn a_link_is_followed_from_its_page() {
        let path = |page: &str, target: &str| place(page, target).map(|place| place.path);
        assert_eq!(path("docs/a/b.md", "../c.md#d").as_deref(), Some("docs/c.md"));
        assert_eq!(path("README.md", "plugins/x/").as_deref(), Some("plugins/x"));
        assert_eq!(path("README.md", "../a.md").as_deref(), Some("../a.md"));
        assert_eq!(path("docs/a.md", "#b").as_deref(), Some("docs/a.md"));
        let ours = format!("{}b/c.md", OURS[0]);
        assert_eq!(path("docs/a.md", &ours).as_deref(), Some("b/c.md"));
        assert_eq!(path("docs/a.md", "https://example.com/b.md"), None);
    }

    #[test]
    fn anchors_are_those_of_forges() {
        let text = "# A b\n## `[[listener]]`\n## What's new?\n## A b\n```\n# no\n```\n";
        assert_eq!(anchors(text), ["a-b", "listener", "whats-new", "a-b-1"]);
    }
}
