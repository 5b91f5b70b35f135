//! Flags, files, messages and exit statuses.

use crate::program::{Ended, Folder};

const USERS: &str = "[storage]\nplugin = \"memory\"\n[users]\nplugin = \"static\"\naccounts = { john = \
                     \"$2b$04$VenCN0/MMzxIeBEH2/wax.mjw4kstctNhRI28WX/lo7trABdAEwXq\" }\n";

/// Wrong arguments or configuration: status 2, nothing on standard output, this on standard error.
#[track_caller]
fn refused(ended: &Ended, why: &str) {
    assert_eq!(ended.status, 2, "{ended:?}");
    assert_eq!(ended.out, "", "{ended:?}");
    assert!(ended.err.contains(why), "{why:?} is not in {ended:?}");
}

#[test]
fn without_anything_it_names_the_ways_out() {
    let ended = Folder::new().run([]);
    refused(&ended, "imapper quickstart");
    refused(&ended, "--config");
    assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    assert_eq!(Folder::new().run(["check"]).status, 2);
}

#[test]
fn help_shows_flags_variables_and_a_sample() {
    for flag in ["-h", "--help"] {
        let ended = Folder::new().run([flag]);
        assert_eq!((ended.status, ended.err.as_str()), (0, ""), "{ended:?}");
        for word in [
            "--port",
            "IMAP_PORT",
            "--ssl",
            "--secure",
            "IMAP_PLUGINS",
            "passwd",
            "[[listener]]",
            "plugin = \"memory\"",
        ] {
            assert!(ended.out.contains(word), "{word} is not in {}", ended.out);
        }
    }
}

#[test]
fn the_sample_of_help_is_a_configuration() {
    let folder = Folder::new();
    let help = folder.run(["--help"]).out;
    let start = help.find("  [[listener]]").unwrap();
    let sample = &help[start..help.find("Exit status:").unwrap()];
    folder.write("imapper.toml", sample);
    // Only the files that it names are not there.
    let ended = folder.run(["check"]);
    for line in ended.err.lines() {
        assert!(line.contains("No such file") || line.contains("is no bcrypt hash"), "{ended:?}");
    }
}

#[test]
fn version() {
    for flag in ["-v", "--version"] {
        let ended = Folder::new().run([flag]);
        assert_eq!(
            (ended.status, ended.out.as_str()),
            (0, concat!("imapper ", env!("CARGO_PKG_VERSION"), "\n"))
        );
    }
}

#[test]
fn wrong_arguments_end_with_2() {
    let folder = Folder::new();
    refused(&folder.run(["--prot", "1"]), "--port");
    refused(&folder.run(["--port", "x"]), "--port");
    refused(&folder.run(["--ssl=perhaps"]), "--ssl");
    refused(&folder.run(["serv"]), "serve");
    let ended = Ended::from(folder.imapper(["check"]).env("IMAP_PORT", "x").output().unwrap());
    refused(&ended, "the variable IMAP_PORT must be a port, 0 to 65535, not \"x\"");
}

#[test]
fn what_comes_later_is_refused_by_name() {
    let folder = Folder::new();
    folder.write("imapper.toml", USERS);
    refused(&folder.run(["doctor"]), "`imapper doctor` is not in this version yet");
    refused(
        &folder.run(["--smtpPort=1025"]),
        "`--smtp-port` is not in this version yet: it comes with the feature `delivery`",
    );
    refused(
        &folder.run(["--lmtp", "unix:/x"]),
        "`--lmtp` is not in this version yet: it comes with the feature `delivery`",
    );
    folder.write("imapper.toml", &USERS.replace("memory", "s3"));
    refused(&folder.run([]), "imapper.toml:2:10: storage plugin \"s3\" is not in this build");
    refused(&folder.run([]), "the feature `s3` will hold it");
    folder.write("imapper.toml", &USERS.replace("static", "ldap"));
    refused(&folder.run([]), "the feature `ldap` will hold it");
}

#[test]
fn a_configuration_file_is_found_or_named() {
    let folder = Folder::new();
    refused(&folder.run(["--config", "none.toml"]), "none.toml: No such file");
    folder.write("imapper.json", "{\"hots\": 1}");
    refused(&folder.run([]), "imapper.json:1:2: unknown key `hots`; did you mean `host`?");
    folder.write("imapper.toml", "hots = 1");
    refused(&folder.run([]), "imapper.toml:1:1: unknown key `hots`; did you mean `host`?");
    folder.write("other.json", "{\"prot\": 1}");
    let ended = Ended::from(folder.imapper([]).env("IMAP_CONFIG", "other.json").output().unwrap());
    refused(&ended, "other.json:1:2: unknown key `prot`; did you mean `port`?");
}

#[test]
fn check_says_what_is_wrong_in_a_line_each() {
    let folder = Folder::new();
    folder.write("imapper.toml", &format!("port = \"x\"\n[lgo]\n{USERS}pasword = 1\n"));
    let ended = folder.run(["check"]);
    refused(&ended, "imapper.toml:1:8: `port` must be a port, 0 to 65535, not \"x\"");
    refused(&ended, "imapper.toml:2:2: unknown key `lgo`; did you mean `log`?");
    folder.write("imapper.toml", &format!("{USERS}acounts = {{}}\n[protocol]\nplugins = [\"IDEL\"]\n"));
    let ended = folder.run(["check"]);
    refused(&ended, "imapper.toml:6:1: unknown key `acounts` in [users]; did you mean `accounts`?");
    refused(&ended, "unknown protocol extension \"IDEL\"; did you mean IDLE?");
    folder.write("imapper.toml", &USERS.replace("memory", "memry"));
    refused(&folder.run(["check"]), "did you mean \"memory\"?");
}

#[test]
fn check_looks_at_the_certificate() {
    let folder = Folder::new();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    folder.write("cert.pem", &made.cert.pem());
    folder.write("key.pem", &rcgen::KeyPair::generate().unwrap().serialize_pem());
    folder.write("imapper.toml", &format!("[tls]\ncertificate = \"cert.pem\"\nkey = \"key.pem\"\n{USERS}"));
    refused(&folder.run(["check"]), "key.pem: the key is not that of");
    folder.write("key.pem", &made.signing_key.serialize_pem());
    let ended = folder.run(["check"]);
    assert_eq!((ended.status, ended.err.as_str()), (0, ""), "{ended:?}");
    assert!(ended.out.ends_with("all is well\n"), "{ended:?}");
}

#[test]
fn plugins_lists_what_there_is() {
    let ended = Folder::new().run(["plugins"]);
    assert_eq!(ended.status, 0);
    assert!(ended.out.contains("storages: maildir, memory\nusers: static\n"), "{ended:?}");
    assert!(ended.out.contains("IDLE"), "{ended:?}");
}

#[test]
fn passwd_prints_a_line_that_verifies() {
    let folder = Folder::new();
    let ended = folder.run_with_input(["passwd", "john"], "s3cret word\n");
    assert_eq!((ended.status, ended.err.as_str()), (0, ""), "{ended:?}");
    let hash = ended.out.strip_prefix("john = \"").and_then(|rest| rest.strip_suffix("\"\n")).unwrap();
    assert!(bcrypt::verify("s3cret word", hash).unwrap());
    assert!(!ended.out.contains("s3cret"));
}

#[test]
fn passwd_stores_a_line_readable_by_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = Folder::new();
    for (user, password) in [("john", "one"), ("jill", "two"), ("john", "three")] {
        assert_eq!(folder.run_with_input(["passwd", user, "--file", "users"], password).status, 0);
    }
    let text = folder.read("users");
    let lines: Vec<_> = text.lines().map(|line| line.split_once(':').unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0].0, lines[1].0), ("john", "jill"));
    assert!(bcrypt::verify("three", lines[0].1).unwrap() && bcrypt::verify("two", lines[1].1).unwrap());
    let mode = std::fs::metadata(folder.path().join("users")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn passwd_refuses_what_can_not_be() {
    let folder = Folder::new();
    refused(&folder.run_with_input(["passwd", "john"], "\n"), "a password may not be empty");
    refused(&folder.run_with_input(["passwd", "john"], &"x".repeat(73)), "72 octets at most");
    refused(&folder.run_with_input(["passwd", "jo:hn"], "x"), "can't be a user's name");
    refused(&folder.run(["passwd", "john", "secret"]), "secret");
    refused(&folder.run(["passwd"]), "USER");
}
