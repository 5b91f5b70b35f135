//! `imapper plugins`: what this build holds.

use super::print;
use crate::builtin::Builtin;

pub(crate) fn run(builtin: &Builtin) {
    let known = builtin.known_extensions();
    let named = |standard| {
        let chosen = known.iter().filter(move |known| known.standard == standard);
        list(chosen.map(|known| known.name))
    };
    print(&format!("storages: {}", list(builtin.storage_names())));
    print(&format!("users: {}", list(builtin.users_names())));
    print(&format!("extensions that are on where nothing is said: {}", named(true)));
    print(&format!("extensions that are on where they are named: {}", named(false)));
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
