//! CHILDREN (RFC 3348, RFC 9051 §7.3.1): LIST tells whether there are mailboxes below each one.

use imapper_core::registry::slots::{ListAttribute, ListEntry};
use imapper_core::registry::{Extension, Registry};

pub(crate) const WORDS: &[&str] = &["CHILDREN", HAS, HAS_NO];

const HAS: &str = "\\HasChildren";
const HAS_NO: &str = "\\HasNoChildren";

/// The capability and the two attributes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Children;

impl Extension for Children {
    fn name(&self) -> &'static str {
        "CHILDREN"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("CHILDREN");
        registry.list_attribute(Self);
    }
}

impl ListAttribute for Children {
    fn decorate(&self, entry: &mut ListEntry) {
        let has = |word: &str| entry.attributes.iter().any(|attribute| attribute.eq_ignore_ascii_case(word));
        // RFC 3348 §3: never both. Where something else has told it already, that stands.
        if !has(HAS) && !has(HAS_NO) {
            entry.attributes.push(if entry.has_children { HAS } else { HAS_NO }.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decorated(has_children: bool, attributes: &[&str]) -> Vec<String> {
        let mut entry = ListEntry::new("a".to_owned(), '/');
        entry.has_children = has_children;
        entry.attributes = attributes.iter().map(|attribute| (*attribute).to_owned()).collect();
        Children.decorate(&mut entry);
        entry.attributes
    }

    #[test]
    fn one_of_both_behind_what_is_there() {
        assert_eq!(decorated(true, &[]), [HAS]);
        assert_eq!(decorated(false, &["\\Noselect"]), ["\\Noselect", HAS_NO]);
        assert_eq!(decorated(false, &["\\haschildren"]), ["\\haschildren"]);
    }
}
