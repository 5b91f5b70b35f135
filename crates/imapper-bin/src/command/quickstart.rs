//! `imapper quickstart [DIR]`: makes a working server out of nothing, and serves it. What is there already is
//! never overwritten: a second run serves it as it is.
//!
//! The configuration comes last, in one step. Until it is there a run takes up what an earlier one has begun:
//! a key without a certificate gets one, a certificate with its key is used.

use std::fs::{self, DirBuilder};
use std::path::Path;

use super::{account, passwd, print};
use crate::builtin::Builtin;
use crate::cli::{Options, Quickstart};
use crate::config::{Config, tls_word};
use crate::error::Failure;
use crate::files;
use crate::tls::{self, Certificate, made};

const CONFIGURATION: &str = "imapper.toml";
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";

/// Whose name is taken where the system tells none that can be a folder's.
const USER: &str = "imapper";

/// Signs of a password: none that is easily taken for another. 32 of them, so each is 5 bits.
const SIGNS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Makes what is missing, says how to connect, and gives what to serve by.
pub(crate) fn prepare(
    builtin: &Builtin,
    arguments: &Quickstart,
    flags: Options,
    variables: Options,
) -> Result<Options, Failure> {
    if flags.config.is_some() || flags.storage.is_some() {
        let what = "`imapper quickstart` has a configuration and a storage of its own: leave out `--config` and `--storage`";
        return Err(Failure::configuration(what));
    }
    let folder = &arguments.folder;
    let configuration = folder.join(CONFIGURATION);
    let mut options = flags.over(Options { config: None, storage: None, ..variables });
    options.config = Some(configuration.clone());
    let password = if configuration.exists() {
        None
    } else {
        needs(builtin)?;
        Some(make(folder)?)
    };
    let config = Config::load(&options, Path::new(""))?;
    for line in how_to_connect(&config, &configuration, password.as_deref())? {
        print(&line);
    }
    Ok(options)
}

/// Refuses a build that could not serve what would be made.
fn needs(builtin: &Builtin) -> Result<(), Failure> {
    let lacks = |plugin: &str| {
        Failure::configuration(format!(
            "`imapper quickstart` needs the plugin {plugin:?}, which is not in this build: build imapper-bin with \
             the feature `{plugin}`"
        ))
    };
    if !builtin.storage_names().any(|name| name == "maildir") {
        return Err(lacks("maildir"));
    }
    if !builtin.users_names().any(|name| name == "static") {
        return Err(lacks("static"));
    }
    Ok(())
}

/// Makes the files of a server; gives the user's password, which is kept nowhere.
fn make(folder: &Path) -> Result<String, Failure> {
    let failed =
        |path: &Path, error: &dyn std::fmt::Display| Failure::Running(format!("{}: {error}", path.display()));
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| failed(folder, &error))?;
    let _ = files::sync_folder(folder); // the name of the folder itself, where that can be
    let key = folder.join(KEY);
    let certificate = folder.join(CERTIFICATE);
    if !key.exists() {
        if certificate.exists() {
            return Err(failed(&certificate, &format!("there is a certificate, but no {KEY} beside it")));
        }
        let text = made::new_key().map_err(|error| failed(&key, &error))?;
        files::publish(&key, text.as_bytes()).map_err(|error| failed(&key, &error))?;
    }
    if !certificate.exists() {
        let text = fs::read_to_string(&key).map_err(|error| failed(&key, &error))?;
        let text = made::certify(&text, names()).map_err(|error| failed(&key, &error))?;
        files::publish(&certificate, text.as_bytes()).map_err(|error| failed(&certificate, &error))?;
    }
    Certificate::load(&certificate, &key).map_err(|error| Failure::Running(error.to_string()))?;
    let password = random_password()?;
    let hash = bcrypt::non_truncating_hash(&password, passwd::COST)
        .map_err(|error| Failure::Running(format!("the password can't be hashed: {error}")))?;
    let path = folder.join(CONFIGURATION);
    let user = user_name(std::env::var("USER").ok().as_deref());
    files::publish(&path, sample(&user, &hash).as_bytes()).map_err(|error| failed(&path, &error))?;
    Ok(password)
}

/// The configuration.
fn sample(user: &str, hash: &str) -> String {
    format!(
        r#"# Made by `imapper quickstart`. Every key is described in docs/configuration.md.

[[listener]]
address = "127.0.0.1:1143"    # from this machine only; "0.0.0.0:1143" is from everywhere
tls     = "starttls"

[[listener]]
address = "127.0.0.1:1993"
tls     = "implicit"

[tls]
certificate = "{CERTIFICATE}"
key         = "{KEY}"

[storage]
plugin = "maildir"
path   = "mail/{{user}}"

[users]
plugin   = "static"
accounts = {{ {} = "{hash}" }}    # `imapper passwd NAME` prints another
"#,
        passwd::key(user)
    )
}

/// The name of the user's folder too, so nothing that would be odd there.
fn user_name(of_system: Option<&str>) -> String {
    let is_plain = |name: &&str| {
        !name.is_empty()
            && name.len() <= 64
            && !name.starts_with('.')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
    };
    of_system.filter(is_plain).unwrap_or(USER).to_owned()
}

/// 100 random bits.
fn random_password() -> Result<String, Failure> {
    let mut octets = [0; 20];
    let filled = tls::provider().secure_random.fill(&mut octets);
    filled.map_err(|_| Failure::Running("the system gives no random numbers".to_owned()))?;
    let mut password = String::new();
    for (at, octet) in octets.iter().enumerate() {
        if at > 0 && at % 5 == 0 {
            password.push('-');
        }
        password.push(char::from(SIGNS[usize::from(octet % 32)]));
    }
    Ok(password)
}

/// What the certificate is for.
fn names() -> Vec<String> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let host =
        ["/proc/sys/kernel/hostname", "/etc/hostname"].iter().find_map(|file| fs::read_to_string(file).ok());
    let is_name = |host: &String| {
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-'))
    };
    names.extend(
        host.map(|host| host.trim().to_ascii_lowercase()).filter(is_name).filter(|host| host != "localhost"),
    );
    names
}

/// What a person has to type into a mail client.
fn how_to_connect(config: &Config, file: &Path, password: Option<&str>) -> Result<Vec<String>, Failure> {
    let mut lines = vec![match password {
        Some(_) => format!("imapper: made {}; this is how to connect:", file.display()),
        None => {
            format!("imapper: serving {}, which is there already; this is how to connect:", file.display())
        }
    }];
    for listener in &config.listeners {
        lines.push(format!("  server       {} ({})", listener.address, tls_word(listener.tls)));
    }
    let users = account::static_users(config);
    lines.push(format!("  user         {}", users.join(", ")));
    lines.push(match password {
        Some(password) => format!("  password     {password}    (told only now: only its hash is kept)"),
        None => "  password     was told at the first start; `imapper passwd USER` prints a line for `accounts` with a \
                 new one"
            .to_owned(),
    });
    if let Some((certificate, _)) = &config.tls {
        let shown =
            made::fingerprint(certificate).map_err(|error| Failure::configuration(error.to_string()))?;
        lines.push(format!("  certificate  {}, SHA-256 {shown}", certificate.display()));
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use secrecy::ExposeSecret as _;

    use super::*;

    /// A folder that goes when it is dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("imapper-quickstart-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Self(path)
        }

        fn run(&self, builtin: &Builtin, flags: Options) -> Result<Options, String> {
            let arguments = Quickstart { folder: self.0.clone() };
            let variables =
                Options { port: Some(7), config: Some("elsewhere.toml".into()), ..Options::default() };
            prepare(builtin, &arguments, flags, variables).map_err(|failure| failure.to_string())
        }

        fn files(&self) -> Vec<(String, Vec<u8>)> {
            let entries = fs::read_dir(&self.0).unwrap().map(Result::unwrap);
            let mut files: Vec<_> = entries
                .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
                .collect();
            files.sort();
            files
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// A build that has what is needed; it is not opened here.
    fn build() -> Builtin {
        let open = |_| async { Err::<crate::OpenedStorage, _>(crate::PluginError::new("not opened")) };
        crate::builtin().storage("maildir", open)
    }

    #[test]
    fn what_is_made_is_a_configuration_with_files_for_their_owner_alone() {
        let scratch = Scratch::new("made");
        let options = scratch.run(&build(), Options::default()).unwrap();
        let config = Config::load(&options, Path::new("")).unwrap();
        let listeners: Vec<_> = config
            .listeners
            .iter()
            .map(|listener| format!("{} {}", listener.address, tls_word(listener.tls)))
            .collect();
        assert_eq!(
            listeners,
            ["127.0.0.1:7 starttls", "127.0.0.1:1993 implicit"],
            "the variable still counts"
        );
        assert_eq!(config.storage.plugin(), "maildir");
        assert_eq!(config.storage.required_text("path").unwrap(), "mail/{user}");
        assert_eq!(account::static_users(&config), [user_name(std::env::var("USER").ok().as_deref())]);
        let (certificate, key) = config.tls.unwrap();
        assert!(Certificate::load(&certificate, &key).unwrap().server_config().is_ok());
        assert_eq!(made::fingerprint(&certificate).unwrap().len(), 32 * 3 - 1);
        let names: Vec<_> = scratch.files().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, [CERTIFICATE, CONFIGURATION, KEY]);
        #[cfg(unix)]
        for name in names {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(scratch.0.join(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }

    #[test]
    fn a_second_run_changes_nothing() {
        let scratch = Scratch::new("second");
        scratch.run(&build(), Options::default()).unwrap();
        let before = scratch.files();
        scratch.run(&Builtin::none(), Options::default()).unwrap();
        assert_eq!(scratch.files(), before);
    }

    #[test]
    fn what_was_begun_is_finished() {
        let scratch = Scratch::new("begun");
        scratch.run(&build(), Options::default()).unwrap();
        let before = scratch.files();
        for missing in [&[CONFIGURATION][..], &[CONFIGURATION, CERTIFICATE]] {
            for name in missing {
                fs::remove_file(scratch.0.join(name)).unwrap();
            }
            scratch.run(&build(), Options::default()).unwrap();
            let after = scratch.files();
            assert_eq!(after.len(), 3);
            assert_eq!(after.last(), before.last(), "the key stays");
        }
        for name in [CONFIGURATION, KEY] {
            fs::remove_file(scratch.0.join(name)).unwrap();
        }
        assert!(scratch.run(&build(), Options::default()).unwrap_err().contains("but no key.pem beside it"));
        assert_eq!(scratch.files().len(), 1, "nothing was made");
    }

    #[test]
    fn a_build_without_maildir_is_told_before_anything_is_made() {
        let scratch = Scratch::new("feature");
        let said = scratch.run(&Builtin::none(), Options::default()).unwrap_err();
        assert!(said.contains("build imapper-bin with the feature `maildir`"), "{said}");
        assert!(!scratch.0.exists());
        let flags = Options { config: Some("x.toml".into()), ..Options::default() };
        assert!(scratch.run(&build(), flags).unwrap_err().contains("`--config`"));
    }

    #[test]
    fn the_password_is_told_once_and_is_the_users() {
        let scratch = Scratch::new("password");
        let password = make(&scratch.0).unwrap();
        assert_eq!(password.len(), 23);
        let options = Options { config: Some(scratch.0.join(CONFIGURATION)), ..Options::default() };
        let config = Config::load(&options, Path::new("")).unwrap();
        let accounts = config.users[0].secrets("accounts").unwrap().unwrap();
        assert!(bcrypt::verify(&password, accounts[0].1.expose_secret()).unwrap());
        let told = how_to_connect(&config, Path::new("x"), Some(&password)).unwrap().join("\n");
        assert!(told.contains(&password) && told.contains("127.0.0.1:1143 (starttls)"), "{told}");
        let told = how_to_connect(&config, Path::new("x"), None).unwrap().join("\n");
        assert!(!told.contains(&password) && told.contains("imapper passwd USER"), "{told}");
    }

    #[test]
    fn an_odd_name_of_the_system_is_not_taken() {
        for odd in [None, Some(""), Some("a/b"), Some(".."), Some("a b"), Some("jürgen")] {
            assert_eq!(user_name(odd), USER, "{odd:?}");
        }
        assert_eq!(user_name(Some("john.doe-1")), "john.doe-1");
    }
}
