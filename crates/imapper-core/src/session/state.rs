//! The states of a session (RFC 9051 §3). Each holds what its commands need, so that a command that needs a
//! mailbox has one.

use super::{Data, Rights, View};
use crate::storage::Mbox;
use crate::users::Identity;

/// Where a session stands.
#[derive(Default)]
pub enum State {
    /// Nobody has logged in.
    #[default]
    NotAuthenticated,
    /// Somebody has.
    Authenticated(Login),
    /// And has a mailbox open.
    Selected(Login, Box<Selected>),
}

impl State {
    /// Who has logged in.
    pub const fn login(&self) -> Option<&Login> {
        match self {
            Self::NotAuthenticated => None,
            Self::Authenticated(login) | Self::Selected(login, _) => Some(login),
        }
    }

    /// The mailbox that is open.
    pub fn selected(&self) -> Option<&Selected> {
        match self {
            Self::Selected(_, selected) => Some(selected),
            _ => None,
        }
    }

    /// The mailbox that is open, to be changed.
    pub fn selected_mut(&mut self) -> Option<&mut Selected> {
        match self {
            Self::Selected(_, selected) => Some(selected),
            _ => None,
        }
    }

    /// The state's name in RFC 9051 §3.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotAuthenticated => "not authenticated",
            Self::Authenticated(_) => "authenticated",
            Self::Selected(..) => "selected",
        }
    }
}

/// A user that has logged in.
#[derive(Clone, Debug)]
pub struct Login {
    /// Who.
    pub identity: Identity,
}

/// A mailbox that is open.
pub struct Selected {
    /// Which.
    pub mbox: Mbox,
    /// Its name as the client wrote it, in Unicode.
    pub name: String,
    /// Whether it was opened by EXAMINE, or can only be read.
    pub read_only: bool,
    /// What the user may do to it.
    pub rights: Rights,
    /// What the client has been told of it.
    pub view: View,
    /// What extensions keep for as long as it is open.
    pub data: Data,
}
