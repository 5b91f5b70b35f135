#![doc = include_str!("../README.md")]

mod auth_plain;
mod children;
mod enable;
mod entries;
mod id;
mod idle;
mod literal;
mod logindisabled;
mod r#move;
mod namespace;
mod sasl_ir;
mod starttls;
mod uidplus;
mod unselect;
mod xtoybird;

pub use auth_plain::AuthPlain;
pub use children::Children;
pub use enable::Enable;
pub use entries::{Entry, Options, all, find, standard};
pub use id::{ClientId, Id, IdError, IdFields, IdLimits};
pub use idle::Idle;
pub use literal::{LiteralMinus, LiteralPlus};
pub use logindisabled::LoginDisabled;
pub use r#move::Move;
pub use namespace::Namespace;
pub use sasl_ir::SaslIr;
pub use starttls::StartTls;
pub use uidplus::UidPlus;
pub use unselect::Unselect;
pub use xtoybird::XToyBird;
