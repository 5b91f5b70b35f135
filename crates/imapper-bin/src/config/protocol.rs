//! `[protocol]`: which extensions are spoken. The names are looked up in `extensions.rs`.

use imapper_extensions::SpecialUses;

use super::section::{Section, texts};
use super::value::Value;
use super::{Kind, Problems, Table, Unfit};
use crate::cli::Options;

/// `[protocol]`, with `--plugin` laid over it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Protocol {
    /// Exactly these extensions; `None` for every standard one.
    pub(crate) plugins: Option<Vec<String>>,
    /// All but these.
    pub(crate) disable: Vec<String>,
    /// What ID tells; `None` for name and version.
    pub(crate) id: Option<Vec<(String, String)>>,
    /// The special uses that a client may set; `None` for all.
    pub(crate) special_use: Option<SpecialUses>,
    /// Whether clients on other machines may use XTOYBIRD.
    pub(crate) xtoybird_remote: bool,
}

impl Protocol {
    pub(crate) fn read(table: Option<&Table>, problems: &Problems, options: &Options) -> Self {
        let mut protocol = Self::default();
        if let Some(table) = table {
            let section = Section::open("protocol", table, problems);
            protocol.plugins = section.texts("plugins");
            protocol.disable = section.texts("disable").unwrap_or_default();
            protocol.id = section.read("id", pairs);
            protocol.special_use = section.read("special_use", uses);
            protocol.xtoybird_remote = section.boolean("xtoybird_remote").unwrap_or_default();
        }
        if let Some(named) = options.plugin_names() {
            protocol.plugins = Some(named);
        }
        protocol
    }
}

fn pairs(value: &Value) -> Result<Vec<(String, String)>, Unfit> {
    let unfit = || Unfit::wanted("a table of strings, such as { name = \"imapper\" }", value);
    let Kind::Table(table) = &value.kind else { return Err(unfit()) };
    let pair = |(key, value): &(super::Key, Value)| Some((key.name.clone(), value.text().ok()?.to_owned()));
    table.entries.iter().map(pair).collect::<Option<_>>().ok_or_else(unfit)
}

fn uses(value: &Value) -> Result<SpecialUses, Unfit> {
    SpecialUses::new(&texts(value)?).map_err(|error| Unfit(format!("is wrong: {error}")))
}
