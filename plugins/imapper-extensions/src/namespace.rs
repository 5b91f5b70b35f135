//! NAMESPACE (RFC 2342, RFC 9051 §6.3.10): where whose mailboxes are, and what stands between their levels.

use async_trait::async_trait;
use imapper_core::registry::{Context, Extension, Flow, InAuthenticated, Outcome, Registry, Row, Run};
use imapper_core::session::{Login, NamespaceKind, Namespaces};
use imapper_core::types::encode_modified_utf7;
use imapper_core::wire::{Args, Line};

pub(crate) const WORDS: &[&str] = &["NAMESPACE"];

/// The command.
#[derive(Clone, Copy, Debug, Default)]
pub struct Namespace;

impl Extension for Namespace {
    fn name(&self) -> &'static str {
        "NAMESPACE"
    }

    fn install(&self, registry: &mut Registry) {
        registry.capability("NAMESPACE");
        registry.command(Row::new("NAMESPACE", Run::authenticated(Self)));
    }
}

#[async_trait]
impl InAuthenticated for Namespace {
    async fn run(&self, cx: &mut Context<'_>, login: &Login, args: &mut Args<'_>) -> Outcome {
        args.end()?;
        let mut line = answer(&cx.shared.namespaces, login.identity.anonymous);
        cx.send(&mut line).await?;
        Ok(Flow::done())
    }
}

/// RFC 2342 §5: the three kinds in this order, each with all of its namespaces, or NIL. RFC 4505's anonymous
/// user is shown only what is open to it.
fn answer(namespaces: &Namespaces, anonymous: bool) -> Line {
    let mut line = Line::untagged("NAMESPACE");
    for kind in [NamespaceKind::Personal, NamespaceKind::OtherUsers, NamespaceKind::Shared] {
        line.sp();
        let mut is_first = true;
        let shown = namespaces.iter().map(|(_, namespace)| namespace);
        for namespace in shown.filter(|one| one.kind == kind && (one.anonymous || !anonymous)) {
            line.word(if is_first { "((" } else { "(" });
            line.string(encode_modified_utf7(&namespace.prefix)).sp();
            line.string(namespace.separator.encode_utf8(&mut [0; 4])).word(")");
            is_first = false;
        }
        line.word(if is_first { "NIL" } else { ")" });
    }
    line
}

#[cfg(test)]
mod tests {
    use imapper_core::session::Namespace;

    use super::*;

    fn shown(namespaces: Vec<Namespace>, anonymous: bool) -> String {
        String::from_utf8(answer(&Namespaces::new(namespaces), anonymous).text().to_vec()).unwrap()
    }

    #[test]
    fn each_kind_is_a_list_or_nil() {
        assert_eq!(shown(Vec::new(), false), r#"* NAMESPACE (("" "/")) NIL NIL"#);
        let cyrus = vec![
            Namespace::new(NamespaceKind::Shared, "", '.'),
            Namespace::new(NamespaceKind::OtherUsers, "user.", '.'),
            Namespace::new(NamespaceKind::Personal, "INBOX.", '.'),
        ];
        assert_eq!(shown(cyrus, false), r#"* NAMESPACE (("INBOX." ".")) (("user." ".")) (("" "."))"#);
    }

    #[test]
    fn several_of_a_kind_and_characters_that_need_care() {
        let several = vec![
            Namespace::new(NamespaceKind::Personal, "", '/'),
            Namespace::new(NamespaceKind::Shared, "#news.", '.'),
            Namespace::new(NamespaceKind::Shared, "R&D\\", '\\'),
            Namespace::new(NamespaceKind::Shared, "Büro/", '/'),
        ];
        let want = r##"* NAMESPACE (("" "/")) NIL (("#news." ".")("R&-D\\" "\\")("B&APw-ro/" "/"))"##;
        assert_eq!(shown(several, false), want);
    }

    #[test]
    fn the_anonymous_user_sees_what_is_open_to_it() {
        let mut open = Namespace::new(NamespaceKind::Shared, "#public/", '/');
        open.anonymous = true;
        let namespaces = vec![open, Namespace::new(NamespaceKind::Shared, "#team/", '/')];
        assert_eq!(shown(namespaces, true), r##"* NAMESPACE NIL NIL (("#public/" "/"))"##);
    }
}
