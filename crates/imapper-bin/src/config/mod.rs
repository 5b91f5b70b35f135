//! The configuration: the file, with the variables and flags laid over it.

mod json;
mod limits;
mod listener;
mod namespace;
mod nearest;
mod problem;
mod protocol;
mod schema;
mod section;
mod toml;
mod units;
mod value;

use std::path::{Path, PathBuf};

pub(crate) use listener::{Address, Listener, word as tls_word};
pub(crate) use nearest::nearest;
pub(crate) use problem::{Problem, Problems};
pub(crate) use protocol::Protocol;
pub(crate) use section::{texts, unknown};
pub(crate) use value::{Key, Kind, Position, Table, Unfit, Value};

use crate::cli::Options;
use crate::plugin::PluginConfig;
use imapper_core::session::Namespace;
use imapper_core::storage::QuotaLimits;

use limits::Bounds;
use listener::Overrides;
use section::Section;

/// All that a server needs to know.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listeners: Vec<Listener>,
    /// Certificate and key; without them the certificate is made at start.
    pub(crate) tls: Option<(PathBuf, PathBuf)>,
    pub(crate) storage: PluginConfig,
    pub(crate) users: Vec<PluginConfig>,
    /// The user that is made up for `--storage` without `[users]`.
    pub(crate) throwaway_user: bool,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) protocol: Protocol,
    /// What each account may keep.
    pub(crate) quota: QuotaLimits,
    pub(crate) limits: Bounds,
    pub(crate) log: Log,
    pub(crate) debug: bool,
}

/// `[log]`
#[derive(Clone, Copy, Debug)]
pub(crate) struct Log {
    pub(crate) level: tracing::Level,
    pub(crate) json: bool,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: tracing::Level::INFO, json: false }
    }
}

/// Said where there is nothing to go by.
pub(crate) const NOTHING: &str = "there is no configuration: `imapper quickstart` makes one, `--config FILE` names \
                                  one, `--storage FILE` does without (`imapper --help` shows a sample)";

impl Config {
    /// Reads the file that `options` name, or the one in `folder`, and lays the options over it.
    pub(crate) fn load(options: &Options, folder: &Path) -> Result<Self, Vec<Problem>> {
        let named = options.config.clone();
        let path = named.or_else(|| {
            ["imapper.toml", "imapper.json"].iter().map(|name| folder.join(name)).find(|path| path.exists())
        });
        let Some(path) = path else {
            if options.storage.is_none() {
                return Err(vec![Problem::new(NOTHING)]);
            }
            return Self::build(&Table::default(), Problems::new("the command line"), folder, options);
        };
        let name = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let text = std::fs::read_to_string(&path)
            .map_err(|error| vec![Problem::at(&name, Position::default(), error)])?;
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let base = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let base = base.map_or_else(|| folder.to_owned(), Path::to_owned);
        Self::parse(&name, &text, is_json, &base, options)
    }

    /// Reads the text of a file. Relative paths in it begin at `base`.
    pub(crate) fn parse(
        name: &str,
        text: &str,
        is_json: bool,
        base: &Path,
        options: &Options,
    ) -> Result<Self, Vec<Problem>> {
        let parse = if is_json { json::parse } else { toml::parse };
        let table = parse(name, text).map_err(|problem| vec![problem])?;
        Self::build(&table, Problems::new(name), base, options)
    }

    fn build(
        table: &Table,
        problems: Problems,
        base: &Path,
        options: &Options,
    ) -> Result<Self, Vec<Problem>> {
        let top = Section::open("", table, &problems);
        refuse_later(options, &problems);
        let listeners =
            top.tables("listener").into_iter().filter_map(|table| Listener::read(table, &problems));
        let listeners: Vec<_> = listeners.collect();
        let (starttls, tls) = read_tls(&top, base);
        let log = read_log(&top);
        let protocol = Protocol::read(top.table("protocol"), &problems, options);
        let quota = top.table("quota").map(|table| read_quota(&Section::open("quota", table, &problems)));
        let limits =
            top.table("limits").map(|table| limits::read(&Section::open("limits", table, &problems)));
        let namespaces = namespace::read_all(&top.tables("namespace"), &problems);
        let storage = read_storage(&top, base, options);
        let users: Vec<_> = top
            .tables("users")
            .into_iter()
            .filter_map(|table| plugin("users", table, &problems, base))
            .collect();
        let throwaway_user = users.is_empty() && options.storage.is_some();
        if users.is_empty() && !throwaway_user && table.get("users").is_none() {
            problems.add(
                Position::default(),
                "[users] is missing: who may log in (`plugin = \"static\"`, for one)",
            );
        }
        let overrides = Overrides {
            port: options.port.or_else(|| top.read("port", port)),
            host: options.host.clone().or_else(|| top.text("host")).map(|host| without_brackets(&host)),
            ssl: options.ssl.or_else(|| top.boolean("ssl")),
            starttls,
        };
        let debug = options.debug.or_else(|| top.boolean("debug")).unwrap_or_default();
        let listeners = listener::resolve(listeners, &overrides, tls.is_some())
            .map_err(|what| problems.push(Problem::new(what)))
            .unwrap_or_default();
        if throwaway_user && let Some(open) = listeners.iter().find(|listener| !listener.address.is_local()) {
            problems.push(Problem::new(format!(
                "the user that `--storage` makes up has a known password, so it is served on this machine only, not \
                 on {}: configure [users]",
                open.address
            )));
        }
        match (storage, problems.into_found()) {
            (Some(storage), found) if found.is_empty() => Ok(Self {
                listeners,
                tls,
                storage,
                users: if throwaway_user { vec![PluginConfig::throwaway_user()] } else { users },
                throwaway_user,
                namespaces,
                protocol,
                quota: quota.unwrap_or_default(),
                limits: limits.unwrap_or_default(),
                log: log.unwrap_or_default(),
                debug,
            }),
            (_, found) => Err(found),
        }
    }
}

/// `[::1]` and `::1` are the same host.
fn without_brackets(host: &str) -> String {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned()
}

/// Flags that are known but have nothing behind them yet.
fn refuse_later(options: &Options, problems: &Problems) {
    for (said, flag) in [(options.smtp_port.is_some(), "--smtp-port"), (options.lmtp.is_some(), "--lmtp")] {
        if said {
            problems.push(Problem::new(format!(
                "`{flag}` is not in this version yet: it comes with the feature `delivery`"
            )));
        }
    }
}

fn port(value: &Value) -> Result<u16, Unfit> {
    let port = value.integer().ok().and_then(|number| u16::try_from(number).ok());
    port.ok_or_else(|| Unfit::wanted("a port, 0 to 65535", value))
}

/// `tls`, which is a boolean or the table `[tls]`.
fn read_tls(top: &Section<'_>, base: &Path) -> (Option<bool>, Option<(PathBuf, PathBuf)>) {
    let read = top.read("tls", |value| match &value.kind {
        Kind::Boolean(truth) => Ok((Some(*truth), None)),
        Kind::Table(table) => Ok((None, Some(table))),
        _ => Err(Unfit::wanted("true, false or the table [tls]", value)),
    });
    let Some((starttls, Some(table))) = read else {
        return (read.and_then(|(starttls, _)| starttls), None);
    };
    let section = Section::open("tls", table, top.problems());
    match (section.text("certificate"), section.text("key")) {
        (Some(certificate), Some(key)) => (starttls, Some((base.join(certificate), base.join(key)))),
        (None, None) => (starttls, None),
        (Some(_), None) => {
            top.problems().add(section.at(), "[tls] has a `certificate` but no `key`");
            (starttls, None)
        }
        (None, Some(_)) => {
            top.problems().add(section.at(), "[tls] has a `key` but no `certificate`");
            (starttls, None)
        }
    }
}

fn read_quota(section: &Section<'_>) -> QuotaLimits {
    QuotaLimits::new(section.read("storage", Value::size), section.read("messages", Value::count))
}

fn read_log(top: &Section<'_>) -> Option<Log> {
    use tracing::Level;
    let section = Section::open("log", top.table("log")?, top.problems());
    let levels = [
        ("error", Level::ERROR),
        ("warn", Level::WARN),
        ("info", Level::INFO),
        ("debug", Level::DEBUG),
        ("trace", Level::TRACE),
    ];
    let standard = Log::default();
    Some(Log {
        level: section.one_of("level", &levels).unwrap_or(standard.level),
        json: section.one_of("format", &[("text", false), ("json", true)]).unwrap_or(standard.json),
    })
}

/// `[storage]`, with the fixture of `--storage` put into it.
fn read_storage(top: &Section<'_>, base: &Path, options: &Options) -> Option<PluginConfig> {
    let table = top.table("storage");
    let Some(fixture) = &options.storage else {
        if table.is_none() {
            top.problems().add(
                Position::default(),
                "[storage] is missing: where mail is kept (`plugin = \"memory\"`, for one)",
            );
        }
        return plugin("storage", table?, top.problems(), base);
    };
    let path = std::path::absolute(fixture).unwrap_or_else(|_| fixture.clone()).display().to_string();
    let text = |text: &str| Value { kind: Kind::String(text.to_owned()), at: Position::default() };
    let mut table = table.cloned().unwrap_or_default();
    match table.get("plugin") {
        None => table.set("plugin", text("memory")),
        Some(value) => {
            if value.text().is_ok_and(|name| name != "memory") {
                let what =
                    "`--storage` loads a file into the memory storage; it can't stand beside another storage";
                top.problems().add(value.at, what);
            }
        }
    }
    table.entries.retain(|(key, _)| key.name != "data");
    table.set("file", text(&path));
    plugin("storage", &table, top.problems(), base)
}

/// The table of a plugin: all but `plugin` is the plugin's own.
fn plugin(section: &'static str, table: &Table, problems: &Problems, base: &Path) -> Option<PluginConfig> {
    match table.get("plugin").map(|value| (value.at, value.text())) {
        None => {
            problems.add(
                table.at,
                format!("[{section}] needs a `plugin`; `imapper plugins` lists those there are"),
            );
            None
        }
        Some((at, Err(unfit))) => {
            problems.add(at, format!("`plugin` {unfit}"));
            None
        }
        Some((at, Ok(name))) => {
            Some(PluginConfig::new(section, name, at, table.clone(), &problems.file, base))
        }
    }
}

#[cfg(test)]
mod tests;
