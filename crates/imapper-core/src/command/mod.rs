//! The commands of the base protocol (RFC 3501 §6), one file each: its row, its grammar, its run. The rows stand
//! in the same table as those of extensions.

mod append;
mod authenticate;
pub mod capability;
mod check;
mod close;
pub mod copy;
pub mod create;
mod delete;
mod examine;
pub mod expunge;
pub mod fetch;
pub mod list;
mod login;
mod logout;
mod lsub;
mod noop;
mod parameters;
pub mod parsed;
mod rename;
pub mod search;
mod select;
pub mod status;
mod store;
mod subscribe;
pub mod turn;
mod unsubscribe;

use crate::registry::Registry;

/// Puts the base protocol's rows, items and keys in their slots.
pub(crate) fn install(registry: &mut Registry) {
    for row in [
        append::row(),
        authenticate::row(),
        capability::row(),
        check::row(),
        close::row(),
        copy::row(),
        create::row(),
        delete::row(),
        examine::row(),
        expunge::row(),
        fetch::row(),
        list::row(),
        login::row(),
        logout::row(),
        lsub::row(),
        noop::row(),
        rename::row(),
        search::row(),
        select::row(),
        status::row(),
        store::row(),
        subscribe::row(),
        unsubscribe::row(),
    ] {
        registry.command(row);
    }
    fetch::items(registry);
    search::keys(registry);
    status::items(registry);
}
