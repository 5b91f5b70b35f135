//! The cursor over a command's arguments (RFC 9051 §9). It walks over the octets as they came, literals
//! included, and never looks behind their end, whatever they are.

use std::borrow::Cow;

use crate::types::{
    Flags, InternalDate, Keyword, NameError, SequenceSet, SystemFlag, SystemFlags, date, decode_modified_utf7,
};

/// Where a command stopped making sense. Becomes the text of a tagged BAD.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at position {at}")]
pub struct Malformed {
    /// How many octets were understood.
    pub at: usize,
    /// What is wrong, or what was expected.
    pub what: Cow<'static, str>,
}

type Parsed<T> = Result<T, Malformed>;

/// A cursor over arguments. Cheap to copy: keep one to go back.
#[derive(Clone, Copy, Debug)]
pub struct Args<'a> {
    octets: &'a [u8],
    at: usize,
    max_depth: usize,
}

/// A string as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Str<'a> {
    /// An atom, which may be a word of the grammar.
    Atom(&'a [u8]),
    /// A quoted string or a literal, which is never a word of the grammar.
    String(Cow<'a, [u8]>),
}

impl<'a> Str<'a> {
    /// What it says.
    pub fn into_octets(self) -> Cow<'a, [u8]> {
        match self {
            Self::Atom(atom) => Cow::Borrowed(atom),
            Self::String(string) => string,
        }
    }
}

/// RFC 9051 §9: ATOM-CHAR.
pub const fn is_atom_char(byte: u8) -> bool {
    matches!(byte, 0x21..=0x7e) && !matches!(byte, b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']')
}

/// RFC 9051 §9: ASTRING-CHAR.
pub const fn is_astring_char(byte: u8) -> bool {
    is_atom_char(byte) || byte == b']'
}

const fn is_list_char(byte: u8) -> bool {
    is_astring_char(byte) || matches!(byte, b'%' | b'*')
}

impl<'a> Args<'a> {
    /// A cursor at the beginning. Lists that lie deeper than `max_depth` are refused by
    /// [`Args::deeper`].
    pub const fn new(octets: &'a [u8], max_depth: usize) -> Self {
        Self { octets, at: 0, max_depth }
    }

    /// How many octets lie behind the cursor.
    pub const fn position(&self) -> usize {
        self.at
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.octets.get(self.at..).unwrap_or_default()
    }

    /// How deep lists may lie in one another.
    pub const fn max_depth(&self) -> usize {
        self.max_depth
    }

    /// A BAD for this place.
    pub fn malformed(&self, what: impl Into<Cow<'static, str>>) -> Malformed {
        Malformed { at: self.at, what: what.into() }
    }

    /// Refuses a depth of lists above the bound. Whoever parses nested lists counts for itself, in a
    /// loop.
    pub fn deeper(&self, depth: usize) -> Parsed<()> {
        if depth > self.max_depth { Err(self.malformed("too many nested parentheses")) } else { Ok(()) }
    }

    /// The next octet.
    pub fn peek(&self) -> Option<u8> {
        self.octets.get(self.at).copied()
    }

    /// Whether nothing is left.
    pub fn is_end(&self) -> bool {
        self.at >= self.octets.len()
    }

    /// Takes the octet if it comes next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Takes the octet, which must come next.
    pub fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.eat(byte) {
            return Ok(());
        }
        Err(self.malformed(match byte {
            b' ' => "space expected".into(),
            _ => Cow::Owned(format!("\"{}\" expected", char::from(byte).escape_default())),
        }))
    }

    /// Takes one space.
    pub fn sp(&mut self) -> Parsed<()> {
        self.expect(b' ')
    }

    /// The end of the command must be here.
    pub fn end(&self) -> Parsed<()> {
        if self.is_end() { Ok(()) } else { Err(self.malformed("end of command expected")) }
    }

    /// Takes the word if it comes next, in any case, and no letter or digit follows it.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let rest = self.rest();
        let found = rest.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word.as_bytes()))
            && !rest.get(word.len()).is_some_and(|next| is_atom_char(*next));
        if found {
            self.at += word.len();
        }
        found
    }

    /// Takes these octets if they come next, in any case.
    pub fn eat_prefix(&mut self, prefix: &str) -> bool {
        let found = self
            .rest()
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
        if found {
            self.at += prefix.len();
        }
        found
    }

    /// Takes octets while they are of a kind.
    pub fn take_while(&mut self, kind: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let len = rest.iter().position(|&byte| !kind(byte)).unwrap_or(rest.len());
        self.at += len;
        &rest[..len]
    }

    /// Takes the octets that belong to an atom, of which there must be one.
    pub fn atom(&mut self) -> Parsed<&'a [u8]> {
        self.some(is_atom_char, "atom expected")
    }

    /// Takes an atom as an upper-case word of the grammar.
    pub fn word(&mut self) -> Parsed<String> {
        let atom = self.atom()?;
        Ok(String::from_utf8_lossy(atom).to_ascii_uppercase())
    }

    /// Takes a tag (RFC 9051 §9).
    pub fn tag(&mut self) -> Parsed<&'a [u8]> {
        self.some(|byte| is_astring_char(byte) && byte != b'+', "tag expected")
    }

    fn some(&mut self, kind: impl Fn(u8) -> bool, what: &'static str) -> Parsed<&'a [u8]> {
        let octets = self.take_while(kind);
        if octets.is_empty() { Err(self.malformed(what)) } else { Ok(octets) }
    }

    /// Takes an `astring`.
    pub fn astring(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.astring_or(is_astring_char).map(Str::into_octets)
    }

    /// Takes an `astring`, telling atoms from strings.
    pub fn astring_as_written(&mut self) -> Parsed<Str<'a>> {
        self.astring_or(is_astring_char)
    }

    fn astring_or(&mut self, kind: impl Fn(u8) -> bool) -> Parsed<Str<'a>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string().map(Str::String),
            _ => self.some(kind, "string expected").map(Str::Atom),
        }
    }

    /// Takes a `string`: quoted or literal.
    pub fn string(&mut self) -> Parsed<Cow<'a, [u8]>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(self.malformed("quoted string or literal expected")),
        }
    }

    /// Takes an `nstring`: `None` for NIL.
    pub fn nstring(&mut self) -> Parsed<Option<Cow<'a, [u8]>>> {
        if self.eat_word("NIL") { Ok(None) } else { self.string().map(Some) }
    }

    fn quoted(&mut self) -> Parsed<Cow<'a, [u8]>> {
        self.expect(b'"')?;
        let start = self.at;
        let mut unescaped: Option<Vec<u8>> = None;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let text = self.octets.get(start..self.at).unwrap_or_default();
                    self.at += 1;
                    return Ok(unescaped.map_or(Cow::Borrowed(text), Cow::Owned));
                }
                Some(b'\\') => {
                    let before = self.octets.get(start..self.at).unwrap_or_default();
                    let escaped = self.octets.get(self.at + 1).copied();
                    let Some(byte @ (b'"' | b'\\')) = escaped else {
                        return Err(self.malformed("only \\\" and \\\\ may stand in a quoted string"));
                    };
                    unescaped.get_or_insert_with(|| before.to_vec()).push(byte);
                    self.at += 2;
                }
                Some(0 | b'\r' | b'\n') => {
                    return Err(self.malformed("NUL, CR and LF can't stand in a quoted string"));
                }
                Some(byte) => {
                    if let Some(text) = &mut unescaped {
                        text.push(byte);
                    }
                    self.at += 1;
                }
                None => return Err(self.malformed("the quoted string has no end")),
            }
        }
    }

    /// Takes a literal (RFC 9051 §4.3, RFC 7888), whose octets came with the command. NUL can't stand in it.
    pub fn literal(&mut self) -> Parsed<&'a [u8]> {
        let start = *self;
        let octets = self.any_literal()?;
        if octets.contains(&0) {
            return Err(start.malformed("NUL can't stand in a literal"));
        }
        Ok(octets)
    }

    fn any_literal(&mut self) -> Parsed<&'a [u8]> {
        let size = self.literal_size()?;
        let octets = usize::try_from(size).ok().and_then(|size| self.rest().get(..size));
        let octets = octets.ok_or_else(|| self.malformed("the literal's octets are missing"))?;
        self.at += octets.len();
        Ok(octets)
    }

    /// Takes the head of a literal, `{n}` CRLF, and gives its size. The octets may follow, or be still to
    /// come.
    pub fn literal_size(&mut self) -> Parsed<u64> {
        self.expect(b'{')?;
        let size = self.number64()?;
        self.eat(b'+');
        self.expect(b'}')?;
        if !self.eat_prefix("\r\n") {
            return Err(self.malformed("end of line expected after the size of a literal"));
        }
        Ok(size)
    }

    /// Takes a `number`: 32 bits.
    pub fn number(&mut self) -> Parsed<u32> {
        let start = *self;
        let number = self.number64()?;
        u32::try_from(number).map_err(|_| start.malformed("the number is too large"))
    }

    /// Takes a `number64`: 63 bits (RFC 9051 §9).
    pub fn number64(&mut self) -> Parsed<u64> {
        let start = *self;
        let digits = self.some(|byte| byte.is_ascii_digit(), "number expected")?;
        let number = digits
            .iter()
            .try_fold(0u64, |number, digit| number.checked_mul(10)?.checked_add(u64::from(digit - b'0')));
        number
            .filter(|number| i64::try_from(*number).is_ok())
            .ok_or_else(|| start.malformed("the number is too large"))
    }

    /// Takes an `nz-number`: 32 bits, not 0.
    pub fn nz_number(&mut self) -> Parsed<u32> {
        let start = *self;
        match self.number()? {
            0 => Err(start.malformed("0 is no number of a message")),
            number => Ok(number),
        }
    }

    /// Takes a `sequence-set`. Ranges stay ranges, so that its cost is that of its text.
    pub fn sequence_set(&mut self) -> Parsed<SequenceSet> {
        let mut pairs = Vec::new();
        loop {
            let first = self.seq_number()?;
            let last = if self.eat(b':') { self.seq_number()? } else { first };
            pairs.push((first, last));
            if !self.eat(b',') {
                return Ok(SequenceSet::from_pairs(pairs));
            }
        }
    }

    fn seq_number(&mut self) -> Parsed<Option<u32>> {
        if self.eat(b'*') { Ok(None) } else { self.nz_number().map(Some) }
    }

    /// Takes a `mailbox`: the name in Unicode. INBOX, in any case, is `INBOX`.
    pub fn mailbox(&mut self) -> Parsed<String> {
        let start = *self;
        let name = self.astring()?;
        mailbox_name(&name).map_err(|error| start.malformed(error.to_string()))
    }

    /// Takes the reference of LIST: a `mailbox` that may be empty, and whose INBOX is not special.
    pub fn mailbox_or_empty(&mut self) -> Parsed<String> {
        let start = *self;
        let name = self.astring()?;
        decode_modified_utf7(&name).map_err(|error| start.malformed(error.to_string()))
    }

    /// Takes a `list-mailbox`: a pattern for names, in Unicode.
    pub fn list_mailbox(&mut self) -> Parsed<String> {
        let start = *self;
        let pattern = self.astring_or(is_list_char)?.into_octets();
        decode_modified_utf7(&pattern).map_err(|error| start.malformed(error.to_string()))
    }

    /// Takes a `flag-list` in its parentheses.
    pub fn flag_list(&mut self) -> Parsed<Flags> {
        self.expect(b'(')?;
        if self.eat(b')') {
            return Ok(Flags::default());
        }
        let flags = self.flags()?;
        self.expect(b')')?;
        Ok(flags)
    }

    /// Takes flags with spaces between.
    pub fn flags(&mut self) -> Parsed<Flags> {
        let (mut system, mut keywords) = (SystemFlags::NONE, Vec::new());
        loop {
            match self.flag()? {
                Flag::System(flag) => system = system | flag.into(),
                Flag::Keyword(keyword) => keywords.push(keyword),
            }
            if !self.eat(b' ') {
                return Ok(Flags::new(system, keywords));
            }
        }
    }

    /// Takes one flag that a client can set: a system flag or a keyword.
    fn flag(&mut self) -> Parsed<Flag> {
        let start = *self;
        if !self.eat(b'\\') {
            return Ok(Flag::Keyword(self.keyword()?));
        }
        let name = self.atom()?;
        let flag =
            SystemFlag::ALL.into_iter().find(|flag| flag.name().as_bytes()[1..].eq_ignore_ascii_case(name));
        // RFC 9051 §2.3.2: flags that begin with "\" are system flags; there are no others to be set.
        flag.map(Flag::System).ok_or_else(|| start.malformed("no such system flag can be set"))
    }

    /// Takes a keyword: an atom (RFC 9051 §9, flag-keyword).
    pub fn keyword(&mut self) -> Parsed<Keyword> {
        let atom = self.some(is_atom_char, "flag expected")?;
        Ok(Keyword::new(&String::from_utf8_lossy(atom)))
    }

    /// Takes a `date` of SEARCH, with or without quotes: days since 1970-01-01.
    pub fn date(&mut self) -> Parsed<i64> {
        let start = *self;
        let text = if self.peek() == Some(b'"') { self.quoted()? } else { Cow::Borrowed(self.atom()?) };
        date::parse_date(&text).ok_or_else(|| start.malformed("date expected, such as 1-Feb-1994"))
    }

    /// Takes a `date-time` in its quotes.
    pub fn date_time(&mut self) -> Parsed<InternalDate> {
        let start = *self;
        let text = self.quoted()?;
        InternalDate::parse(&text)
            .ok_or_else(|| start.malformed("date expected, such as \"17-Jul-1996 02:44:25 -0700\""))
    }

    /// Takes a list in parentheses whose items `item` takes. It has at least one.
    pub fn list<T>(&mut self, mut item: impl FnMut(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        self.expect(b'(')?;
        let mut items = vec![item(self)?];
        while self.eat(b' ') {
            items.push(item(self)?);
        }
        self.expect(b')')?;
        Ok(items)
    }
}

enum Flag {
    System(SystemFlag),
    Keyword(Keyword),
}

fn mailbox_name(name: &[u8]) -> Result<String, NameError> {
    if name.eq_ignore_ascii_case(b"INBOX") {
        return Ok("INBOX".to_owned());
    }
    decode_modified_utf7(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Uid;
    use proptest::prelude::*;

    fn args(text: &str) -> Args<'_> {
        Args::new(text.as_bytes(), 32)
    }

    #[test]
    fn strings_in_each_form() {
        let mut cursor = args("a]b \"c\\\\\\\"d\" {3}\r\n\"\\x {2+}\r\nok NIL");
        assert_eq!(&*cursor.astring().unwrap(), b"a]b");
        cursor.sp().unwrap();
        assert_eq!(&*cursor.astring().unwrap(), b"c\\\"d");
        cursor.sp().unwrap();
        assert_eq!(&*cursor.string().unwrap(), b"\"\\x");
        cursor.sp().unwrap();
        assert_eq!(&*cursor.astring().unwrap(), b"ok");
        cursor.sp().unwrap();
        assert_eq!(cursor.nstring().unwrap(), None);
        cursor.end().unwrap();
    }

    #[test]
    fn what_is_no_string_is_malformed() {
        for text in
            ["", "(", "\"", "\"a\\b\"", "\"a\nb\"", "\"\0\"", "{3}\r\nab", "{3}ab", "{x}\r\n", "{1}\r\n\0"]
        {
            assert!(args(text).astring().is_err(), "{text:?}");
        }
        let error = args("\"abc").astring().unwrap_err();
        assert_eq!(error.to_string(), "the quoted string has no end at position 4");
    }

    #[test]
    fn numbers_do_not_wrap() {
        assert_eq!(args("4294967295").number(), Ok(u32::MAX));
        assert!(args("4294967296").number().is_err());
        assert!(args("9223372036854775808").number64().is_err());
        assert!(args("99999999999999999999999").number64().is_err());
        assert!(args("0").nz_number().is_err());
        assert!(args("4294967297").sequence_set().is_err());
    }

    #[test]
    fn sets() {
        let set = args("2,4:7,9,12:*").sequence_set().unwrap().resolve(Uid::new(15));
        assert_eq!(set.to_string(), "2,4:7,9,12:15");
        for text in ["", "0", "1:", "1,", ":1", "a", "1:0", "-1"] {
            assert!(args(text).sequence_set().is_err(), "{text:?}");
        }
        let mut cursor = args("1:2:3 FLAGS");
        cursor.sequence_set().unwrap();
        assert!(cursor.sp().is_err());
    }

    #[test]
    fn flags_that_can_be_set() {
        let flags = args("(\\Seen $Junk \\DELETED)").flag_list().unwrap();
        assert_eq!(flags.names().collect::<Vec<_>>(), ["\\Deleted", "\\Seen", "$Junk"]);
        assert_eq!(args("()").flag_list(), Ok(Flags::default()));
        for text in ["(\\Recent)", "(\"Seen\")", "(\\Seen", "(\\*)", "( )", "(a  b)", "\\Seen"] {
            assert!(args(text).flag_list().is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_of_mailboxes() {
        assert_eq!(args("iNbOx").mailbox().as_deref(), Ok("INBOX"));
        assert_eq!(args("{5}\r\ninbox").mailbox().as_deref(), Ok("INBOX"));
        assert_eq!(args("\"Entw&APw-rfe\"").mailbox().as_deref(), Ok("Entwürfe"));
        assert!(args("\"&Jjo!\"").mailbox().is_err());
        assert_eq!(args("%*").list_mailbox().as_deref(), Ok("%*"));
        assert!(args("a*").mailbox().is_ok_and(|name| name == "a"));
    }

    #[test]
    fn words_end_where_an_atom_does() {
        let mut cursor = args("NOTE NOT(x");
        assert!(!cursor.eat_word("NOT"));
        assert!(cursor.eat_word("note"));
        cursor.sp().unwrap();
        assert!(cursor.eat_word("NOT"));
        assert_eq!(cursor.rest(), b"(x");
    }

    proptest! {
        #[test]
        fn no_octets_make_the_cursor_panic(octets: Vec<u8>) {
            let start = Args::new(&octets, 3);
            let _ = { start }.astring();
            let _ = { start }.nstring();
            let _ = { start }.sequence_set();
            let _ = { start }.flag_list();
            let _ = { start }.mailbox();
            let _ = { start }.list_mailbox();
            let _ = { start }.date();
            let _ = { start }.date_time();
            let _ = { start }.literal();
            let _ = { start }.number64();
        }
    }
}
