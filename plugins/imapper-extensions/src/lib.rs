#![doc = include_str!("../README.md")]

mod auth_plain;
mod children;
mod condstore;
mod enable;
mod entries;
mod id;
mod idle;
mod literal;
mod logindisabled;
mod namespace;
mod qresync;
mod sasl_ir;
mod special_use;
mod starttls;
mod uidplus;
mod unselect;
mod xoauth2;

pub use auth_plain::AuthPlain;
pub use children::Children;
pub use condstore::Condstore;
pub use enable::Enable;
pub use entries::{Entry, Options, all, find, standard};
pub use id::{ClientId, Id, IdError, IdFields, IdLimits};
pub use idle::Idle;
pub use literal::{LiteralMinus, LiteralPlus};
pub use logindisabled::LoginDisabled;
pub use namespace::Namespace;
pub use qresync::Qresync;
pub use sasl_ir::SaslIr;
pub use special_use::{CreateSpecialUse, SpecialUse, SpecialUses, UnknownUse};
pub use starttls::StartTls;
pub use uidplus::UidPlus;
pub use unselect::Unselect;
pub use xoauth2::Xoauth2;
