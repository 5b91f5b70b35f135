//! A server in this process, and a client that writes all it has to say and reads to the end. Time is paused: what
//! waits, waits no longer than it takes to see that nothing else is left to do.

use std::cell::RefCell;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use imapper_core::limits::Limits;
use imapper_core::users::{AuthError, ConnectionInfo, CredentialKind, Credentials, Identity, Users};
use imapper_core::wire::{Frame, Framer, NonSync};
use imapper_core::{Server, TlsMode};
use imapper_storage_memory::Memory;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::{Builder, Runtime};

/// Everybody logs in who is called `user`, whatever the password.
struct User;

#[async_trait]
impl Users for User {
    fn kinds(&self) -> &[CredentialKind] {
        &[CredentialKind::Password]
    }

    async fn authenticate(
        &self,
        credentials: &Credentials,
        _connection: &ConnectionInfo,
    ) -> Result<Identity, AuthError> {
        match credentials {
            Credentials::Password { user, .. } if user == "user" => Ok(Identity::new("user")),
            _ => Err(AuthError::Invalid),
        }
    }
}

/// A server with the standard extensions and no mail.
pub fn server() -> Server {
    let storage = Memory::builder().first_uid_validity(NonZeroU32::MIN).build();
    let mut limits = Limits::default();
    // What follows bad commands is what is wanted.
    (limits.bad_commands, limits.bad_commands_before_login) = (u32::MAX, u32::MAX);
    let server = Server::builder().storage(Arc::new(storage)).users(Arc::new(User)).limits(limits);
    server.extensions(imapper_extensions::standard()).build().expect("the server is complete")
}

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime starts")
    );
}

/// What the server answers to all these octets, sent in pieces; then the client closes its side.
pub fn talk(server: &Server, octets: &[u8], piece: usize) -> Vec<u8> {
    let (mine, theirs) = tokio::io::duplex(64 * 1024);
    let (mut reader, mut writer) = tokio::io::split(mine);
    let write = async {
        for piece in octets.chunks(piece.max(1)) {
            // A server that has said BYE reads no more.
            if writer.write_all(piece).await.is_err() {
                return;
            }
            if piece.len() < octets.len() {
                tokio::task::yield_now().await;
            }
        }
        let _ = writer.shutdown().await;
    };
    let mut answers = Vec::new();
    let read = async {
        let _ = reader.read_to_end(&mut answers).await;
    };
    RUNTIME.with_borrow(|runtime| {
        runtime.block_on(async { tokio::join!(server.serve(theirs, None, TlsMode::None), write, read) })
    });
    answers
}

/// A literal that the client does not wait for.
pub fn literal(octets: &[u8]) -> Vec<u8> {
    [format!("{{{}+}}\r\n", octets.len()).as_bytes(), octets].concat()
}

/// Appends an APPEND of each message to INBOX.
pub fn append(script: &mut Vec<u8>, messages: &[&[u8]]) {
    for message in messages {
        script.extend_from_slice(b"a APPEND INBOX ");
        script.extend(literal(message));
        script.extend_from_slice(b"\r\n");
    }
}

/// Whether these octets are one command, whole, and nothing more.
pub fn is_one_command(octets: &[u8]) -> bool {
    let mut framer = Framer::new(Limits::default().frame(NonSync::Any));
    framer.input().extend_from_slice(octets);
    loop {
        match framer.next(|_| false) {
            Frame::Continue => {}
            Frame::Command(_) => return framer.is_between_commands(),
            _ => return false,
        }
    }
}

/// The lines whose tag is this one, without it: `OK …`.
pub fn tagged<'a>(lines: &[&'a [u8]], tag: &str) -> Vec<&'a [u8]> {
    lines.iter().filter_map(|line| line.strip_prefix(tag.as_bytes())?.strip_prefix(b" ")).collect()
}

/// Whether the command with this tag, sent once, was answered with OK.
pub fn is_ok(lines: &[&[u8]], tag: &str) -> bool {
    let answers = tagged(lines, tag);
    assert!(answers.len() <= 1, "two answers to one command");
    answers.iter().any(|answer| answer.starts_with(b"OK"))
}
