//! What a command sees: the server's parts that all sessions share, and the session's that are its own.

use std::future::Future;
use std::io;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::slots::Done;
use super::{Registry, Ticket};
use crate::limits::Limits;
use crate::session::view::Removals;
use crate::session::{
    Access, Data, Hubs, Login, Namespaces, Output, Place, Policy, Reject, Rights, State, Upload, namespace,
};
use crate::storage::{MailboxInfo, Mbox, Storage, StorageError};
use crate::types::Code;
use crate::users::{ConnectionInfo, Identity, Users};
use crate::wire::Line;

/// What all sessions of a server share.
pub struct Shared {
    /// Where mail is kept.
    pub storage: Arc<dyn Storage>,
    /// Who may log in.
    pub users: Arc<dyn Users>,
    /// What is spoken.
    pub registry: Registry,
    /// How names map to accounts.
    pub namespaces: Namespaces,
    /// What anything may cost.
    pub limits: Limits,
    /// Who may do what.
    pub access: Arc<dyn Access>,
    /// The mailboxes that are open.
    pub hubs: Hubs,
    /// Counts and bounds logins.
    pub door: super::Door,
}

/// A mailbox that a command names.
#[derive(Clone, Debug)]
pub struct Found {
    /// The mailbox and its owner.
    pub mbox: Mbox,
    /// What the storage says of it.
    pub info: MailboxInfo,
    /// What its name means.
    pub place: Place,
    /// What the user may do to it.
    pub rights: Rights,
}

/// What a command works with.
pub struct Context<'a> {
    /// What all sessions share.
    pub shared: &'a Arc<Shared>,
    /// The connection.
    pub connection: &'a ConnectionInfo,
    /// What the client has asked for beyond the base protocol.
    pub policy: &'a mut Policy,
    /// What extensions keep on the session.
    pub data: &'a mut Data,
    /// The way to the client.
    pub out: &'a mut Output,
    /// Cancelled when the client sends no more. It may still read: what ends soon is answered.
    pub leaving: &'a CancellationToken,
    /// The literal that has been announced and is still to come, for a command that streams.
    pub upload: Option<&'a mut Upload>,
    /// The command's tag.
    pub tag: &'a str,
    /// The command's name, in upper case, without UID.
    pub name: &'a str,
    /// Whether the command came with UID before it.
    pub uid: bool,
    /// Whether somebody has logged in.
    pub is_authenticated: bool,
    /// Whether a mailbox is open.
    pub is_selected: bool,
    /// Whether removals are told when the command is over. A command that answers with numbers holds them.
    pub removals: Removals,
    /// The session's place in the counts of the door.
    pub ticket: &'a mut Ticket,
    /// The state that the session is in when the command is over, however it ends; `None` leaves it as it is.
    pub next: Option<State>,
    /// A mailbox that this command has removed: if it is the open one, it is closed.
    pub removed: Option<Mbox>,
}

impl Context<'_> {
    /// The storage.
    pub fn storage(&self) -> &Arc<dyn Storage> {
        &self.shared.storage
    }

    /// Sends an untagged response.
    pub async fn send(&mut self, line: &mut Line) -> io::Result<()> {
        self.out.untagged(self.name, line).await
    }

    /// Runs what changes something to its end, whatever becomes of the connection meanwhile.
    pub async fn finish<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, StorageError>> + Send + 'static,
    ) -> Result<T, StorageError> {
        match tokio::spawn(change).await {
            Ok(result) => result,
            Err(failed) => Err(StorageError::backend(failed)),
        }
    }

    /// Tells what was done to those who add to replies; gives the first response code that comes of it.
    pub async fn done(&mut self, done: &Done<'_>) -> Result<Option<Code>, Reject> {
        let shared = Arc::clone(self.shared);
        let mut code = None;
        for on_done in &shared.registry.done {
            let more = on_done.done(self, done).await?;
            code = code.or(more);
        }
        Ok(code)
    }

    /// What a name means, or NO.
    pub fn place(&self, name: &str, identity: &Identity) -> Result<Place, Reject> {
        self.shared
            .namespaces
            .place(name, identity)
            .ok_or_else(|| Reject::code(Code::NONEXISTENT, "there is no such mailbox"))
    }

    /// What a name that is to be given means: NO for one that no mailbox can have.
    pub fn new_place(&self, name: &str, identity: &Identity) -> Result<Place, Reject> {
        let place = self
            .shared
            .namespaces
            .place(name, identity)
            .ok_or_else(|| Reject::code(Code::CANNOT, "no mailbox can have this name"))?;
        namespace::check_new_name(&place.name, &self.shared.limits)?;
        Ok(place)
    }

    /// Opens the way to a mailbox, for all commands: finds it, and asks whether the user may do what
    /// `needed` says. Whoever may not even see it is told that there is none (RFC 4314 §6).
    pub async fn find(&self, name: &str, login: &Login, needed: Rights) -> Result<Found, Reject> {
        let place = self.place(name, &login.identity)?;
        self.find_place(place, login, needed).await
    }

    /// The same for a name that is known already.
    pub async fn find_place(&self, place: Place, login: &Login, needed: Rights) -> Result<Found, Reject> {
        let missing = || Reject::code(Code::NONEXISTENT, "there is no such mailbox");
        if self.rights(&place, login, None).await? == Rights::NONE {
            return Err(missing());
        }
        let mailboxes = self.storage().list(&place.account).await?;
        let info = mailboxes.into_iter().find(|mailbox| mailbox.name == place.name).ok_or_else(missing)?;
        let rights = self.rights(&place, login, Some(&info)).await?;
        if !rights.contains(needed) {
            return Err(if rights.intersects(Rights::LOOKUP | Rights::READ) {
                Reject::code(Code::NOPERM, "you may not do this to that mailbox")
            } else {
                missing()
            });
        }
        Ok(Found { mbox: Mbox { account: place.account.clone(), id: info.id.clone() }, info, place, rights })
    }

    /// What the user may do there.
    pub async fn rights(
        &self,
        place: &Place,
        login: &Login,
        info: Option<&MailboxInfo>,
    ) -> Result<Rights, StorageError> {
        let id = info.map(|info| &info.id);
        self.shared.access.rights(&**self.storage(), &login.identity, place, id).await
    }
}
