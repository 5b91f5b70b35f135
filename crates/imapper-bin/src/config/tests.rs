//! The overlay of file, variables and flags, and what is said of a file that is wrong.

use imapper_core::TlsMode;
use imapper_extensions::SpecialUses;

use super::*;

const USERS: &str = "[storage]\nplugin = \"memory\"\n[users]\nplugin = \"static\"\n";

fn parse_with(text: &str, options: &Options) -> Result<Config, String> {
    Config::parse("x.toml", text, false, Path::new("/base"), options)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

fn parse(text: &str) -> Result<Config, String> {
    parse_with(text, &Options::default())
}

/// What is said of a text; the tables that must be there are put after it.
fn said(text: &str) -> String {
    parse(&format!("{text}\n{USERS}")).map_or_else(|said| said, |_| String::new())
}

#[test]
fn a_small_file_and_its_defaults() {
    let config = parse(USERS).unwrap();
    let local = Address::Tcp("127.0.0.1".to_owned(), 143);
    assert_eq!(config.listeners, [Listener { address: local, tls: TlsMode::None }]);
    assert!(config.tls.is_none() && !config.debug && !config.throwaway_user && !config.log.json);
    assert_eq!(config.storage.plugin(), "memory");
    assert_eq!(config.namespaces.len(), 1);
    assert_eq!(config.limits.core.connections, 10_000);
    assert!(config.protocol.plugins.is_none() && config.protocol.disable.is_empty());
}

#[test]
fn a_whole_file() {
    let config = parse(
        r#"
        debug = true
        [[listener]]
        protocol = "imap"
        address = "0.0.0.0:143"
        tls = "starttls"
        [[listener]]
        address = "[::]:993"
        tls = "implicit"
        [tls]
        certificate = "cert.pem"
        key = "/etc/key.pem"
        [storage]
        plugin = "memory"
        [[users]]
        plugin = "static"
        [[users]]
        plugin = "ldap"
        [[namespace]]
        type = "personal"
        prefix = "INBOX."
        separator = "."
        [[namespace]]
        type = "shared"
        prefix = "public."
        separator = "."
        account = "public"
        [protocol]
        plugins = ["IDLE", "ID"]
        disable = ["ID"]
        id = { name = "x" }
        special_use = ['\sent', '\Drafts']
        [limits]
        append = "1 MiB"
        idle_timeout = "1 h"
        connections = 7
        unread_output = "64 KiB"
        pipelined = 2
        id_pairs = 3
        id_value = "2 KiB"
        trusted = []
        [log]
        level = "trace"
        format = "json"
        "#,
    )
    .unwrap();
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.listeners[1].tls, TlsMode::Implicit);
    assert_eq!(config.tls, Some(("/base/cert.pem".into(), "/etc/key.pem".into())));
    assert_eq!(config.users.iter().map(PluginConfig::plugin).collect::<Vec<_>>(), ["static", "ldap"]);
    assert_eq!(config.namespaces[1].accounts, [imapper_core::storage::AccountId::from("public")]);
    assert_eq!(config.protocol.plugins.unwrap(), ["IDLE", "ID"]);
    assert_eq!(config.protocol.id.unwrap(), [("name".to_owned(), "x".to_owned())]);
    let uses = ["\\Sent".to_owned(), "\\Drafts".to_owned()];
    assert_eq!(config.protocol.special_use, Some(SpecialUses::new(&uses).unwrap()));
    assert_eq!((config.limits.core.append, config.limits.core.connections), (1 << 20, 7));
    assert_eq!((config.limits.core.unread_output, config.limits.core.pipelined), (64 << 10, 2));
    assert_eq!(config.limits.id, imapper_extensions::IdLimits { pairs: 3, key: 30, value: 2048 });
    assert!(config.limits.core.trusted.is_empty() && config.log.json && config.debug);
}

#[test]
fn json_has_the_same_keys() {
    let text =
        r#"{"port": 1143, "storage": {"plugin": "memory"}, "users": [{"plugin": "static"}], "ssl": null}"#;
    let config = Config::parse("x.json", text, true, Path::new("/"), &Options::default()).unwrap();
    assert_eq!(config.listeners[0].address, Address::Tcp("127.0.0.1".to_owned(), 1143));
}

#[test]
fn a_flag_beats_the_file_and_the_file_beats_the_default() {
    let file = format!("port = 1143\nhost = \"[::1]\"\n[protocol]\nplugins = [\"ID\"]\n{USERS}");
    let config = parse(&file).unwrap();
    assert_eq!(config.listeners[0].address, Address::Tcp("::1".to_owned(), 1143));
    let flags =
        Options { port: Some(2143), plugins: Some(vec!["IDLE,UNSELECT".to_owned()]), ..Options::default() };
    let config = parse_with(&file, &flags).unwrap();
    assert_eq!(config.listeners[0].address, Address::Tcp("::1".to_owned(), 2143));
    assert_eq!(config.protocol.plugins.unwrap(), ["IDLE", "UNSELECT"]);
}

#[test]
fn every_key_of_the_schema_is_taken() {
    for key in schema::SECTIONS.iter().flat_map(|section| schema::keys(section)) {
        let line = format!("{} = {}", key.name, key.sample);
        let text = match key.section {
            "" => line,
            "listener" | "namespace" => format!("[[{}]]\n{line}", key.section),
            section => format!("[{section}]\n{line}"),
        };
        let problems = parse(&text).err().unwrap_or_default();
        assert!(!problems.contains("unknown key"), "{text}: {problems}");
        assert!(!problems.contains(&format!("`{}` must be", key.name)), "{text}: {problems}");
        let is_refused = problems.contains(&format!("`{}` is not in this version yet", key.name))
            || problems.contains("can't be set");
        assert_eq!(is_refused, key.absent.is_some(), "{text}: {problems}");
    }
}

#[test]
fn an_unknown_key_is_told_with_its_place_and_the_nearest_one() {
    let text = "[[listener]]\nadress = \"127.0.0.1:143\"";
    assert_eq!(
        said(text),
        "x.toml:2:1: unknown key `adress` in [listener]; did you mean `address`? (allowed: protocol, address, tls)\n\
         x.toml:1:1: [[listener]] needs an `address`"
    );
    assert!(
        said("[limits]\nidle-timeout = \"1 s\"")
            .starts_with("x.toml:2:1: unknown key `idle-timeout` in [limits]; did you mean `idle_timeout`?")
    );
    assert!(said("hots = \"x\"").starts_with("x.toml:1:1: unknown key `hots`; did you mean `host`?"));
    assert!(said("[lgo]\nlevel = \"info\"").contains("unknown key `lgo`; did you mean `log`?"));
    assert!(said("xyzzy = 1").starts_with("x.toml:1:1: unknown key `xyzzy` (allowed: port, host,"));
}

#[test]
fn a_value_of_the_wrong_kind_is_told_with_what_is_allowed() {
    for (text, want) in [
        ("port = \"143\"", "x.toml:1:8: `port` must be a port, 0 to 65535, not \"143\""),
        ("port = 65536", "x.toml:1:8: `port` must be a port, 0 to 65535, not 65536"),
        ("ssl = \"yes\"", "x.toml:1:7: `ssl` must be true or false, not \"yes\""),
        ("tls = 1", "x.toml:1:7: `tls` must be true, false or the table [tls], not 1"),
        (
            "[log]\nlevel = \"loud\"",
            "x.toml:2:9: `level` must be \"error\" or \"warn\" or \"info\" or \"debug\" or \"trace\", not \"loud\"",
        ),
        (
            "[limits]\nappend = \"50 MB\"",
            "x.toml:2:10: `append` must be a size, such as \"64 KiB\", \"50 MiB\" or 8192 (octets), not \"50 MB\"",
        ),
        (
            "[limits]\nidle_timeout = 30",
            "x.toml:2:16: `idle_timeout` must be a time with its unit (ms, s, min, h, d), such as \"60 s\" or \"30 min\", not 30",
        ),
        ("[quota]\nmessages = -1", "x.toml:2:12: `messages` must be a number, 0 or above, not -1"),
        ("[limits]\nconnections = -1", "x.toml:2:15: `connections` must be a number, 0 or above, not -1"),
        ("[protocol]\nplugins = \"IDLE\"", "x.toml:2:11: `plugins` must be a list of strings, not \"IDLE\""),
        (
            "[protocol]\nspecial_use = ['\\Sent', 'Junk']",
            "x.toml:2:15: `special_use` is wrong: \"Junk\" is no special use (there are: \\All, \\Archive, \\Drafts, \
             \\Flagged, \\Important, \\Junk, \\Sent, \\Trash)",
        ),
        ("log = 1", "x.toml:1:7: `log` must be a table, not 1"),
        (
            "[[listener]]\naddress = \"143\"",
            "x.toml:2:11: `address` must be an address with a port, such as \"127.0.0.1:143\" or \"[::]:143\", or \"unix:/path\", not \"143\"",
        ),
        (
            "[[namespace]]\ntype = \"personal\"\nprefix = \"x\"",
            "x.toml:3:10: `prefix` must end with the separator, '/'",
        ),
        ("[tls]\ncertificate = \"x\"", "x.toml:1:1: [tls] has a `certificate` but no `key`"),
    ] {
        assert_eq!(said(text), want);
    }
    assert!(said("[limits]\ntrusted = [\"localhost\"]").starts_with("x.toml:2:12: `trusted`: "));
}

#[test]
fn all_problems_are_told_at_once() {
    assert_eq!(said("port = \"a\"\nhots = \"b\"\n[log]\nlevel = 1").lines().count(), 3);
}

#[test]
fn what_comes_later_names_what_will_hold_it() {
    let delivery = "is not in this version yet: it comes with the feature `delivery`";
    assert_eq!(said("smtp_port = 25"), format!("x.toml:1:1: `smtp_port` {delivery}"));
    assert_eq!(said("lmtp = \"127.0.0.1:24\""), format!("x.toml:1:1: `lmtp` {delivery}"));
    assert!(said("[[listener]]\nprotocol = \"lmtp\"\naddress = \"127.0.0.1:24\"").contains(delivery));
    assert!(said("[metrics]\naddress = \"127.0.0.1:9143\"").contains("`metrics` is not in this version yet"));
    for flags in [
        Options { smtp_port: Some(25), ..Options::default() },
        Options { lmtp: Some("x".to_owned()), ..Options::default() },
    ] {
        assert!(parse_with(USERS, &flags).unwrap_err().contains(delivery));
    }
}

#[test]
fn a_limit_that_something_else_holds_names_it() {
    assert_eq!(
        said("[limits]\nliteral_minus = 8192"),
        "x.toml:2:1: `literal_minus` can't be set: RFC 7888 §5 fixes it at 4,096 octets"
    );
    assert_eq!(
        said("[limits]\nsequence_set = \"1 KiB\""),
        "x.toml:2:1: `sequence_set` can't be set: a sequence set is part of a command, which `command_line` bounds"
    );
    let unknown = said("[limits]\nxyzzy = 1");
    assert!(unknown.contains("command_line") && !unknown.contains("literal_minus"), "{unknown}");
}

#[test]
fn storage_and_users_must_be_there() {
    assert!(parse("[storage]\nplugin = \"memory\"").unwrap_err().contains("[users] is missing"));
    assert!(parse("[users]\nplugin = \"static\"").unwrap_err().contains("[storage] is missing"));
    assert!(
        parse("[storage]\n[users]\nplugin = \"static\"").unwrap_err().contains("[storage] needs a `plugin`")
    );
}

#[test]
fn a_fixture_makes_memory_storage_and_a_user() {
    let fixture = Options { storage: Some("/x/mailbox.json".into()), ..Options::default() };
    let config = Config::load(&fixture, Path::new("/nonexistent")).unwrap();
    assert!(config.throwaway_user);
    assert_eq!((config.storage.plugin(), config.users[0].plugin()), ("memory", "static"));
    assert_eq!(config.storage.path("file").unwrap(), Some("/x/mailbox.json".into()));

    let config = parse_with(USERS, &fixture).unwrap();
    assert!(!config.throwaway_user);
    let file =
        "[storage]\nplugin = \"memory\"\nfile = \"other.json\"\ndata = {}\n[users]\nplugin = \"static\"";
    let config = parse_with(file, &fixture).unwrap();
    assert_eq!(config.storage.path("file").unwrap(), Some("/x/mailbox.json".into()));
    assert_eq!(config.storage.json("data").unwrap(), None);

    let said = parse_with(&USERS.replace("memory", "maildir"), &fixture).unwrap_err();
    assert!(said.starts_with("x.toml:2:10: `--storage` loads a file into the memory storage"), "{said}");
}

#[test]
fn the_made_up_user_is_served_on_this_machine_only() {
    let fixture =
        Options { storage: Some("x".into()), host: Some("0.0.0.0".to_owned()), ..Options::default() };
    let said = Config::load(&fixture, Path::new("/nonexistent")).unwrap_err();
    assert!(said[0].to_string().contains("on this machine only, not on 0.0.0.0:143"), "{}", said[0]);
    let local = Options { host: Some("::1".to_owned()), ..fixture };
    assert!(Config::load(&local, Path::new("/nonexistent")).is_ok());
}

#[test]
fn nothing_at_all_names_the_ways_out() {
    let said = Config::load(&Options::default(), Path::new("/nonexistent")).unwrap_err();
    assert_eq!(said.len(), 1);
    assert!(said[0].to_string().contains("imapper quickstart") && said[0].to_string().contains("--config"));
}
