//! The search language of Gmail, as far as it can be answered: what was written becomes words and operators, each
//! operator before what it stands over. A loop, however deep it is nested.

use imapper_core::session::Reject;

use super::label::cannot;

/// A word of the language, or what joins those that follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// What is looked for, and where.
    Word(Field, String),
    /// The next one is not true.
    Not,
    /// So many that follow are true.
    All(usize),
    /// One of so many that follow is true.
    Any(usize),
}

/// Where it is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// Anywhere in the message.
    Text,
    /// By a key of SEARCH, which is followed by the text.
    Key(&'static str),
    MessageId,
    Label,
    Has,
    Is,
    Filename,
    Before,
    After,
    OlderThan,
    NewerThan,
    Larger,
    Smaller,
}

const FIELDS: &[(&str, Field)] = &[
    ("from", Field::Key("FROM")),
    ("to", Field::Key("TO")),
    ("cc", Field::Key("CC")),
    ("bcc", Field::Key("BCC")),
    ("subject", Field::Key("SUBJECT")),
    ("list", Field::Key("HEADER List-Id")),
    ("deliveredto", Field::Key("HEADER Delivered-To")),
    ("rfc822msgid", Field::MessageId),
    ("label", Field::Label),
    ("l", Field::Label),
    ("in", Field::Label),
    ("has", Field::Has),
    ("is", Field::Is),
    ("filename", Field::Filename),
    ("before", Field::Before),
    ("older", Field::Before),
    ("after", Field::After),
    ("newer", Field::After),
    ("older_than", Field::OlderThan),
    ("newer_than", Field::NewerThan),
    ("larger", Field::Larger),
    ("size", Field::Larger),
    ("smaller", Field::Smaller),
];

/// Something that stands there in one piece.
type Part = Vec<Node>;

/// Parentheses or braces that are open, or the whole.
struct Group {
    /// What closes it.
    end: char,
    /// What its words are looked for in.
    field: Field,
    /// What must all be true, or one of it in braces; each is alternatives with OR between.
    items: Vec<Vec<Part>>,
    /// What comes next is an alternative to what came last.
    is_or: bool,
    /// What comes next is not to be true.
    is_not: bool,
}

impl Group {
    const fn new(end: char, field: Field) -> Self {
        Self { end, field, items: Vec::new(), is_or: false, is_not: false }
    }

    fn add(&mut self, mut part: Part) {
        if std::mem::take(&mut self.is_not) {
            part.insert(0, Node::Not);
        }
        let is_or = std::mem::take(&mut self.is_or);
        match self.items.last_mut().filter(|_| is_or) {
            Some(last) => last.push(part),
            None => self.items.push(vec![part]),
        }
    }

    /// All of it in one piece.
    fn close(self) -> Result<Part, Reject> {
        if self.is_or || self.is_not {
            return Err(bad("something is missing behind OR or -"));
        }
        let is_any = self.end == '}';
        let items = self.items.into_iter().map(|alternatives| join(alternatives, Node::Any)).collect();
        Ok(join(items, if is_any { Node::Any } else { Node::All }))
    }
}

fn join(parts: Vec<Part>, operator: fn(usize) -> Node) -> Part {
    let mut joined = if parts.len() == 1 { Part::new() } else { vec![operator(parts.len())] };
    joined.extend(parts.into_iter().flatten());
    joined
}

fn bad(what: &str) -> Reject {
    Reject::bad(format!("X-GM-RAW: {what}"))
}

/// NO, and what it was that can't be answered.
pub(super) fn refuse(what: &str) -> Reject {
    cannot(format!("X-GM-RAW: {what:.40} can't be answered here"))
}

const fn is_sign(sign: char) -> bool {
    matches!(sign, '(' | ')' | '{' | '}' | '"')
}

/// Reads a query; nothing is looked for where it is empty. Groups may lie `depth` deep.
pub(super) fn read(text: &str, depth: usize) -> Result<Vec<Node>, Reject> {
    let mut open = vec![Group::new('\0', Field::Text)];
    let mut rest = text.trim_start();
    while let Some(sign) = rest.chars().next() {
        let Some(group) = open.last_mut() else { break };
        let behind = rest.get(sign.len_utf8()..).unwrap_or_default();
        rest = match sign {
            '(' | '{' => {
                let group = Group::new(if sign == '(' { ')' } else { '}' }, group.field);
                open.push(group);
                behind
            }
            ')' | '}' => {
                close(&mut open, sign)?;
                behind
            }
            '-' if !behind.starts_with(char::is_whitespace) && !behind.is_empty() => {
                group.is_not = !group.is_not;
                behind
            }
            '"' => {
                let (phrase, behind) = quoted(behind)?;
                let word = Node::Word(group.field, phrase.to_owned());
                group.add(vec![word]);
                behind
            }
            _ => word(rest, &mut open)?,
        };
        if open.len() > depth.saturating_add(1) {
            return Err(bad("parentheses lie too deep"));
        }
        rest = rest.trim_start();
    }
    match (open.pop(), open.is_empty()) {
        (Some(whole), true) if whole.items.is_empty() && !whole.is_or && !whole.is_not => Ok(Vec::new()),
        (Some(whole), true) => whole.close(),
        _ => Err(bad("parentheses or braces are not closed")),
    }
}

/// Up to the next quote, and what is behind that.
fn quoted(text: &str) -> Result<(&str, &str), Reject> {
    text.split_once('"').ok_or_else(|| bad("a quote is not closed"))
}

fn close(open: &mut Vec<Group>, sign: char) -> Result<(), Reject> {
    let inner = open.pop().filter(|group| group.end == sign);
    let (Some(inner), Some(outer)) = (inner, open.last_mut()) else {
        return Err(bad("parentheses or braces are closed that are not open"));
    };
    if inner.items.is_empty() {
        return Err(bad("there is nothing between parentheses or braces"));
    }
    outer.add(inner.close()?);
    Ok(())
}

/// Takes a word at the beginning of the text; gives what is behind.
fn word<'a>(text: &'a str, open: &mut Vec<Group>) -> Result<&'a str, Reject> {
    let end = text.find(|sign: char| sign.is_whitespace() || is_sign(sign)).unwrap_or(text.len());
    let (word, behind) = text.split_at_checked(end).unwrap_or((text, ""));
    let Some(group) = open.last_mut() else { return Ok(behind) };
    match word {
        "OR" | "|" | "AND" if group.items.is_empty() || group.is_or || group.is_not => {
            return Err(bad("something is missing before AND or OR"));
        }
        "OR" | "|" => group.is_or = true,
        "AND" => {}
        "AROUND" => return Err(refuse(word)),
        _ => match field_of(word)? {
            None => {
                let word = word.strip_prefix('+').unwrap_or(word);
                let word = Node::Word(group.field, word.to_owned());
                group.add(vec![word]);
            }
            Some((field, "")) if behind.starts_with('"') => {
                let (phrase, behind) = quoted(behind.get(1..).unwrap_or_default())?;
                group.add(vec![Node::Word(field, phrase.to_owned())]);
                return Ok(behind);
            }
            Some((field, "")) if behind.starts_with(['(', '{']) => {
                let end = if behind.starts_with('(') { ')' } else { '}' };
                open.push(Group::new(end, field));
                return Ok(behind.get(1..).unwrap_or_default());
            }
            Some((_, "")) => return Err(bad(&format!("nothing stands behind {word:.40}"))),
            Some((field, value)) => group.add(vec![Node::Word(field, value.to_owned())]),
        },
    }
    Ok(behind)
}

/// What stands before and behind the colon of an operator; `None` if the word is none. To find a text with a colon
/// in it, one puts it in quotes.
fn field_of(word: &str) -> Result<Option<(Field, &str)>, Reject> {
    let Some((name, value)) = word.split_once(':') else { return Ok(None) };
    let is_name = name.starts_with(|sign: char| sign.is_ascii_alphabetic())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !is_name {
        return Ok(None);
    }
    let known = FIELDS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    let (_, field) = known.ok_or_else(|| refuse(&format!("{name}:")))?;
    Ok(Some((*field, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In one line.
    fn shown(text: &str) -> String {
        let nodes = match read(text, 32) {
            Ok(nodes) => nodes,
            Err(Reject::Bad(text)) => return format!("BAD {text}"),
            Err(Reject::No(_, text)) => return format!("NO {text}"),
            Err(other) => return other.to_string(),
        };
        let words = nodes.into_iter().map(|node| match node {
            Node::Word(Field::Text, text) => format!("'{text}'"),
            Node::Word(Field::Key(key), text) => format!("{key}'{text}'"),
            Node::Word(field, text) => format!("{field:?}'{text}'"),
            node => format!("{node:?}"),
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_phrases_and_operators() {
        for (text, nodes) in [
            ("", ""),
            ("  ", ""),
            ("dinner", "'dinner'"),
            ("+dinner e-mail", "All(2) 'dinner' 'e-mail'"),
            ("\"dinner and movie\"", "'dinner and movie'"),
            ("from:amy", "FROM'amy'"),
            ("FROM:amy", "FROM'amy'"),
            ("from:\"amy b\" x", "All(2) FROM'amy b' 'x'"),
            ("has:attachment in:unread", "All(2) Has'attachment' Label'unread'"),
            ("12:30", "'12:30'"),
            ("rfc822msgid:<a@b>", "MessageId'<a@b>'"),
            ("-movie", "Not 'movie'"),
            ("--movie", "'movie'"),
            ("-from:amy", "Not FROM'amy'"),
            ("-(a b)", "Not All(2) 'a' 'b'"),
            ("-", "'-'"),
            ("- a", "All(2) '-' 'a'"),
            ("a AND b", "All(2) 'a' 'b'"),
        ] {
            assert_eq!(shown(text), nodes, "{text}");
        }
    }

    #[test]
    fn or_binds_more_than_what_stands_beside() {
        for (text, nodes) in [
            ("from:amy OR from:david", "Any(2) FROM'amy' FROM'david'"),
            ("a b OR c d", "All(3) 'a' Any(2) 'b' 'c' 'd'"),
            ("a OR -b OR \"c d\"", "Any(3) 'a' Not 'b' 'c d'"),
            ("{from:amy from:david}", "Any(2) FROM'amy' FROM'david'"),
            ("{a}", "'a'"),
            ("(a OR b) c", "All(2) Any(2) 'a' 'b' 'c'"),
            ("subject:(dinner movie)", "All(2) SUBJECT'dinner' SUBJECT'movie'"),
            ("from:{a \"b c\" to:d}", "Any(3) FROM'a' FROM'b c' TO'd'"),
            ("subject:(a (b OR -c))", "All(2) SUBJECT'a' Any(2) SUBJECT'b' Not SUBJECT'c'"),
            ("a or b", "All(3) 'a' 'or' 'b'"),
        ] {
            assert_eq!(shown(text), nodes, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_bad_and_what_can_not_be_answered_is_named() {
        for text in [
            "(a",
            "a)",
            "{a)",
            "()",
            "\"a",
            "from:",
            "from: a",
            "a OR",
            "OR a",
            "a OR OR b",
            "(a -)",
            "-(",
            "(OR a)",
        ] {
            assert!(shown(text).starts_with("BAD X-GM-RAW: "), "{text}: {}", shown(text));
        }
        for (text, name) in
            [("category:social", "category:"), ("a AROUND 10 b", "AROUND"), ("http://x", "http:")]
        {
            assert_eq!(shown(text), format!("NO X-GM-RAW: {name} can't be answered here"));
        }
    }

    #[test]
    fn it_is_bounded_and_never_calls_itself() {
        let deep = |count: usize| format!("{}a{}", "(".repeat(count), ")".repeat(count));
        assert_eq!(shown(&deep(32)), "'a'");
        assert!(shown(&deep(33)).starts_with("BAD"));
        assert!(shown(&deep(30_000)).starts_with("BAD"));
        assert_eq!(read(&"a ".repeat(30_000), 32).unwrap().len(), 30_001);
    }

    #[test]
    fn any_soup_is_read_or_refused() {
        let pieces = ["(", ")", "{", "}", "\"", "-", " ", "OR", " OR ", "a", "from:", "ü", ":", "in:x", "\\"];
        let mut state = 1u64;
        for _ in 0..20_000 {
            let mut text = String::new();
            for _ in 0..12 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                text.push_str(pieces[usize::try_from(state >> 33).unwrap() % pieces.len()]);
            }
            let Ok(nodes) = read(&text, 5) else { continue };
            // Each operator stands over as many as it says, and all of it is one piece.
            let mut missing = i64::from(!nodes.is_empty());
            for node in &nodes {
                assert!(missing > 0, "{text}");
                missing += match node {
                    Node::Word(..) => -1,
                    Node::Not => 0,
                    Node::All(count) | Node::Any(count) => i64::try_from(*count).unwrap() - 1,
                };
            }
            assert_eq!(missing, 0, "{text}");
        }
    }
}
