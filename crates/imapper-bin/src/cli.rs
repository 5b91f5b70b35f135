//! The command line and the environment. Every option is optional here: what is not said is left to the
//! configuration file and its defaults.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::config::Problem;
use crate::transfer::Form;

/// A pluggable IMAP server. Without a sub-command it serves.
#[derive(Debug, Parser)]
#[command(name = "imapper", version, disable_version_flag = true, after_help = AFTER_HELP, after_long_help = AFTER_HELP)]
#[command(subcommand_precedence_over_arg = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) options: Options,
    /// Print the version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What is said by flags and variables.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Options of the server")]
#[expect(clippy::doc_markdown, reason = "the comments are what --help shows")]
pub(crate) struct Options {
    /// Port of the first IMAP listener [IMAP_PORT] [default: 143, or 993 with --ssl]
    #[arg(short, long, value_name = "N", global = true)]
    pub(crate) port: Option<u16>,
    /// Address to listen on [IMAP_HOST] [default: 127.0.0.1]
    #[arg(long, value_name = "ADDR", global = true)]
    pub(crate) host: Option<String>,
    /// TLS from the first byte [IMAP_SSL] [default: false]
    #[arg(short, long, visible_alias = "secure", value_name = "true|false", global = true)]
    #[arg(num_args = 0..=1, default_missing_value = "true", value_parser = truth)]
    pub(crate) ssl: Option<bool>,
    /// SMTP listener for testing; not in this version yet [IMAP_SMTPPORT]
    #[arg(long, alias = "smtpPort", value_name = "N", global = true)]
    pub(crate) smtp_port: Option<u16>,
    /// LMTP listener for delivery; not in this version yet [IMAP_LMTP]
    #[arg(long, value_name = "ADDR", global = true)]
    pub(crate) lmtp: Option<String>,
    /// Write the traffic to the console, secrets masked [IMAP_DEBUG] [default: false]
    #[arg(short, long, value_name = "true|false", global = true)]
    #[arg(num_args = 0..=1, default_missing_value = "true", value_parser = truth)]
    pub(crate) debug: Option<bool>,
    /// JSON file with folders and messages, loaded into the memory storage [IMAP_STORAGE]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) storage: Option<PathBuf>,
    /// Exactly these protocol extensions; repeat it, or use commas [IMAP_PLUGINS] [default: every standard one]
    #[arg(long = "plugin", value_name = "ID", action = ArgAction::Append, global = true)]
    pub(crate) plugins: Option<Vec<String>>,
    /// Configuration file, TOML or .json [IMAP_CONFIG] [default: ./imapper.toml, else ./imapper.json]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve (the default)
    Serve,
    /// Make a working server out of nothing, say how to connect, and serve; later on, serve what is there
    Quickstart(Quickstart),
    /// Read the configuration, open every plugin, check the certificate, and say what is wrong
    Check,
    /// List the storages, user databases and protocol extensions of this build
    Plugins,
    /// Ask for a password, and print a line for `accounts` of the static users
    Passwd(Passwd),
    /// Bring mail from a Maildir, an mbox file or a JSON file into the storage of the configuration
    Import(Import),
    /// Write mail of the storage of the configuration to a Maildir, an mbox file or a JSON file
    Export(Export),
    #[command(hide = true)]
    Doctor(Rest),
}

/// Arguments of `quickstart`.
#[derive(Args, Debug)]
pub(crate) struct Quickstart {
    /// The folder that gets imapper.toml, a certificate with its key, and the mail
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) folder: PathBuf,
}

/// Arguments of `passwd`. A password is none of them: other users could see it.
#[derive(Args, Debug)]
pub(crate) struct Passwd {
    /// The user's name
    pub(crate) user: String,
    /// Store it in this file of `user:hash` lines (`accounts_file`), in the place of the user's old line
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
}

/// Arguments of `import`.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// A Maildir tree, an mbox file or a folder of such, or a JSON file; it is only read
    pub(crate) source: PathBuf,
    /// Into this mailbox: INBOX becomes it, other mailboxes lie below it
    #[arg(long, value_name = "NAME")]
    pub(crate) mailbox: Option<String>,
    #[command(flatten)]
    pub(crate) transfer: Transfer,
}

/// Arguments of `export`.
#[derive(Args, Debug)]
pub(crate) struct Export {
    /// A folder for a Maildir tree or for mbox files, or a file; what is there is not overwritten
    pub(crate) target: PathBuf,
    /// Only this mailbox, without those below it
    #[arg(long, value_name = "NAME")]
    pub(crate) mailbox: Option<String>,
    #[command(flatten)]
    pub(crate) transfer: Transfer,
}

/// Arguments of both.
#[derive(Args, Debug)]
pub(crate) struct Transfer {
    /// Whose mail [default: that of the only user of the configuration]
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// The form of the file or folder, where it can't be seen from its name or what is in it
    #[arg(long, value_enum, value_name = "FORM")]
    pub(crate) format: Option<Form>,
}

/// Whatever follows a sub-command of a later version.
#[derive(Args, Debug)]
pub(crate) struct Rest {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _rest: Vec<String>,
}

/// A truth value of a flag or a variable.
fn truth(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("true or false is expected".to_owned()),
    }
}

impl Options {
    /// What the environment says. A variable that is empty says nothing.
    pub(crate) fn from_env(variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Result<Self, Problem> {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| {
            path(name)
                .map(|value| value.into_string().map_err(|_| Problem::new(format!("{name} is not UTF-8"))))
                .transpose()
        };
        let port = |name: &str| {
            let port = |text: String| text.parse().map_err(|_| wrong(name, &text, "a port, 0 to 65535"));
            text(name)?.map(port).transpose()
        };
        let boolean = |name: &str| {
            let boolean = |text: String| truth(&text).map_err(|_| wrong(name, &text, "true or false"));
            text(name)?.map(boolean).transpose()
        };
        Ok(Self {
            port: port("IMAP_PORT")?,
            host: text("IMAP_HOST")?,
            ssl: boolean("IMAP_SSL")?,
            smtp_port: port("IMAP_SMTPPORT")?,
            lmtp: text("IMAP_LMTP")?,
            debug: boolean("IMAP_DEBUG")?,
            storage: path("IMAP_STORAGE").map(PathBuf::from),
            plugins: text("IMAP_PLUGINS")?.map(|text| vec![text]),
            config: path("IMAP_CONFIG").map(PathBuf::from),
        })
    }

    /// These options, and where they are silent, those of `below`.
    pub(crate) fn over(self, below: Self) -> Self {
        Self {
            port: self.port.or(below.port),
            host: self.host.or(below.host),
            ssl: self.ssl.or(below.ssl),
            smtp_port: self.smtp_port.or(below.smtp_port),
            lmtp: self.lmtp.or(below.lmtp),
            debug: self.debug.or(below.debug),
            storage: self.storage.or(below.storage),
            plugins: self.plugins.or(below.plugins),
            config: self.config.or(below.config),
        }
    }

    /// The names of `--plugin`, taken apart at commas. `--plugin=` is the empty list: none at all.
    pub(crate) fn plugin_names(&self) -> Option<Vec<String>> {
        let names = self.plugins.as_ref()?.iter().flat_map(|names| names.split(','));
        Some(names.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect())
    }
}

fn wrong(name: &str, value: &str, wanted: &str) -> Problem {
    Problem::new(format!("the variable {name} must be {wanted}, not {value:?}"))
}

/// Printed below the options: a configuration that serves as it is, but for the hash.
const AFTER_HELP: &str = r#"Each option of the server is a flag, an environment variable and a key of the configuration file.
The flag beats the variable, the variable beats the file.

Sample configuration (imapper.toml):

  [[listener]]
  address = "0.0.0.0:143"
  tls     = "starttls"                  # starttls | implicit | none

  [[listener]]
  address = "0.0.0.0:993"
  tls     = "implicit"

  [tls]
  certificate = "/etc/imapper/fullchain.pem"
  key         = "/etc/imapper/key.pem"

  [storage]
  plugin = "memory"
  file   = "/etc/imapper/mailbox.json"  # what it begins with

  [users]
  plugin   = "static"
  accounts = { john = "$2b$10$..." }    # `imapper passwd john` prints it

  [protocol]
  disable = ["IDLE"]                    # every standard extension but these

  [limits]
  append = "50 MiB"

  [log]
  level = "info"

Exit status: 0 a clean stop, 1 a failure while running, 2 wrong arguments or configuration."#;

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(line: &str) -> Options {
        let words = std::iter::once("imapper").chain(line.split_whitespace());
        Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{line}: {error}")).options
    }

    fn variables(pairs: &[(&str, &str)]) -> Result<Options, String> {
        let find = |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into());
        Options::from_env(find).map_err(|problem| problem.to_string())
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn every_spelling_of_a_boolean() {
        for yes in
            ["--ssl", "--ssl=true", "--ssl true", "-s", "--secure", "--secure=true", "--ssl serve", "-s=yes"]
        {
            assert_eq!(flags(yes).ssl, Some(true), "{yes}");
        }
        for no in ["--ssl=false", "--ssl false", "--secure false"] {
            assert_eq!(flags(no).ssl, Some(false), "{no}");
        }
        assert_eq!(flags("").ssl, None);
        assert_eq!(flags("-d").debug, Some(true));
        assert_eq!(flags("--debug=true -p 1143").debug, Some(true));
        assert!(Cli::try_parse_from(["imapper", "--ssl=perhaps"]).is_err());
    }

    #[test]
    fn aliases_and_places() {
        assert_eq!(flags("--smtpPort=1025").smtp_port, Some(1025));
        assert_eq!(flags("--smtp-port 1025").smtp_port, Some(1025));
        assert_eq!(flags("check --config x.toml").config, Some("x.toml".into()));
        assert_eq!(flags("--config x.toml check").config, Some("x.toml".into()));
    }

    #[test]
    fn plugins_come_repeated_or_with_commas() {
        let names = |line| flags(line).plugin_names();
        let want = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(names("--plugin IDLE --plugin ID,UNSELECT"), want(&["IDLE", "ID", "UNSELECT"]));
        assert_eq!(names("--plugin="), want(&[]));
        assert_eq!(names(""), None);
    }

    #[test]
    fn the_flag_beats_the_variable() {
        let below = variables(&[("IMAP_PORT", "1"), ("IMAP_SSL", "1"), ("IMAP_PLUGINS", "ID,IDLE")]).unwrap();
        let both = flags("--port 2 --plugin UNSELECT").over(below.clone());
        assert_eq!((both.port, both.ssl), (Some(2), Some(true)));
        assert_eq!(both.plugin_names().unwrap(), ["UNSELECT"]);
        assert_eq!(below.plugin_names().unwrap(), ["ID", "IDLE"]);
    }

    #[test]
    fn a_wrong_variable_is_named_and_an_empty_one_is_silent() {
        assert_eq!(variables(&[("IMAP_PORT", ""), ("IMAP_SSL", "")]), Ok(Options::default()));
        let said = variables(&[("IMAP_PORT", "x")]).unwrap_err();
        assert_eq!(said, "the variable IMAP_PORT must be a port, 0 to 65535, not \"x\"");
        assert!(variables(&[("IMAP_DEBUG", "perhaps")]).unwrap_err().contains("IMAP_DEBUG"));
    }
}
