//! XTOYBIRD: a server for tests is controlled by the tests themselves, as with the original imapper. It can make
//! users and stop the server without a login, so it is on only where it is asked for.

use async_trait::async_trait;
use imapper_core::registry::{Context, Extension, Flow, InAnyState, Outcome, Registry, Row, Run};
use imapper_core::session::{Login, NamespaceKind, Reject, Selected, State};
use imapper_core::storage::Dump;
use imapper_core::types::Code;
use imapper_core::users::{AuthError, ConnectionInfo, Manage, SecretString};
use imapper_core::wire::{Args, Line, Malformed};
use serde_json::{Map, Value, json};

use crate::x_faults::Fault;
use crate::{ClientId, Faults};

pub(crate) const WORDS: &[&str] = &["XTOYBIRD", "XJSONDUMP"];

/// The command.
#[derive(Clone, Copy, Debug, Default)]
pub struct XToyBird {
    /// Whether clients on other machines may use it, too, when they have logged in.
    pub remote: bool,
}

impl Extension for XToyBird {
    fn name(&self) -> &'static str {
        "XTOYBIRD"
    }

    fn install(&self, registry: &mut Registry) {
        let itself = *self;
        registry.capability_when("XTOYBIRD", move |moment| {
            itself.refusal(moment.connection, moment.is_authenticated).is_none()
        });
        registry.command(Row::new("XTOYBIRD", Run::any_state(itself)).secret());
    }
}

impl XToyBird {
    /// What whoever may not use it is told.
    fn refusal(self, connection: &ConnectionInfo, is_authenticated: bool) -> Option<&'static str> {
        match (connection.is_loopback(), self.remote, is_authenticated) {
            (true, _, _) | (false, true, true) => None,
            (false, true, false) => Some("log in first"),
            (false, false, _) => Some("only clients on the server's own machine may do this"),
        }
    }
}

/// What is asked for.
enum Wish {
    Server,
    Connection,
    Storage,
    UserAdd(String, SecretString),
    UserDel(String),
    Shutdown,
    Fault(Faults, Fault),
}

#[async_trait]
impl InAnyState for XToyBird {
    async fn run(&self, cx: &mut Context<'_>, state: &mut State, args: &mut Args<'_>) -> Outcome {
        let wish = parse(args, cx.shared.registry.kept())?;
        // RFC 4505's anonymous user is nobody in particular.
        let is_somebody = state.login().is_some_and(|login| !login.identity.anonymous);
        if let Some(why) = self.refusal(cx.connection, is_somebody) {
            return Err(Reject::code(Code::NOPERM, why));
        }
        match wish {
            Wish::Server => {
                let dump = pretty(&server(cx))?;
                send(cx, &dump).await?;
            }
            Wish::Connection => {
                let dump = pretty(&connection(cx, state))?;
                send(cx, &dump).await?;
            }
            Wish::Storage => {
                let dump = storage(cx, state.login()).await?;
                send(cx, &dump).await?;
            }
            Wish::UserAdd(user, password) => {
                manage(cx)?.add(&user, &password).await.map_err(|error| match error {
                    AuthError::Invalid => {
                        Reject::code(Code::CANNOT, "no user can have that name or that password")
                    }
                    error => error.into(),
                })?;
                tracing::info!(
                    connection = cx.connection.id,
                    ?user,
                    "a user was added, or has another password"
                );
            }
            Wish::UserDel(user) => {
                if !manage(cx)?.remove(&user).await? {
                    return Err(Reject::code(Code::NONEXISTENT, "there is no such user"));
                }
                tracing::info!(connection = cx.connection.id, ?user, "a user was removed");
            }
            Wish::Shutdown => {
                tracing::info!(connection = cx.connection.id, "told to stop when the last client has left");
                cx.shared.door.close();
            }
            Wish::Fault(faults, fault) => faults.set(cx, fault)?,
        }
        Ok(Flow::done())
    }
}

/// `faults` are there where X-FAULTS is on.
fn parse(args: &mut Args<'_>, faults: Option<&Faults>) -> Result<Wish, Malformed> {
    args.sp()?;
    let start = *args;
    let wish = match args.word()?.as_str() {
        "SERVER" => Wish::Server,
        "CONNECTION" => Wish::Connection,
        "STORAGE" => Wish::Storage,
        "USERADD" => {
            let user = text(args)?;
            Wish::UserAdd(user, text(args)?.into())
        }
        "USERDEL" => Wish::UserDel(text(args)?),
        "SHUTDOWN" => Wish::Shutdown,
        "FAULT" if let Some(faults) = faults => Wish::Fault(faults.clone(), Fault::parse(args)?),
        _ => return Err(start.malformed("XTOYBIRD can't do that")),
    };
    args.end()?;
    Ok(wish)
}

/// `SP astring`, which is UTF-8.
fn text(args: &mut Args<'_>) -> Result<String, Malformed> {
    args.sp()?;
    let start = *args;
    String::from_utf8(args.astring()?.into_owned()).map_err(|_| start.malformed("UTF-8 expected"))
}

fn manage<'a>(cx: &'a Context<'_>) -> Result<&'a dyn Manage, Reject> {
    let manage = cx.shared.users.as_manage();
    manage.ok_or_else(|| Reject::code(Code::CANNOT, "the users can't be changed while the server runs"))
}

async fn send(cx: &mut Context<'_>, dump: &str) -> Result<(), Reject> {
    let mut line = Line::untagged("XTOYBIRD [XJSONDUMP] ");
    line.literal(dump.as_bytes());
    Ok(cx.send(&mut line).await?)
}

fn pretty(dump: &Value) -> Result<String, Reject> {
    serde_json::to_string_pretty(dump)
        .map_err(|_| Reject::code(Code::SERVERBUG, "this can't be written down"))
}

/// The user's own mail; before login what [`imapper_core::storage::Dumping`] says.
async fn storage(cx: &Context<'_>, login: Option<&Login>) -> Result<String, Reject> {
    let storage = cx.storage();
    let dumping = storage
        .as_dump()
        .ok_or_else(|| Reject::code(Code::CANNOT, "this storage does not write down what it holds"))?;
    let is_on = |name| cx.shared.registry.extensions().contains(&name);
    let what =
        Dump { modseq: is_on("CONDSTORE"), labels: is_on("X-GM-EXT-1"), special_use: is_on("SPECIAL-USE") };
    Ok(dumping.write(login.map(|login| &login.identity.account), what).await?)
}

/// No key, password or token is in it.
fn server(cx: &Context<'_>) -> Value {
    let shared = cx.shared;
    let namespaces = shared.namespaces.iter().map(|(_, namespace)| {
        let kind = match namespace.kind {
            NamespaceKind::Personal => "personal",
            NamespaceKind::OtherUsers => "user",
            NamespaceKind::Shared => "shared",
        };
        json!({ "type": kind, "prefix": namespace.prefix, "separator": namespace.separator })
    });
    json!({
        "name": "imapper",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": shared.registry.extensions(),
        "namespaces": namespaces.collect::<Vec<_>>(),
        "connections": shared.door.connections(),
        "sessions": shared.door.sessions(),
        "closing": shared.door.is_closed(),
    })
}

/// This connection and its session.
fn connection(cx: &Context<'_>, state: &State) -> Value {
    let ConnectionInfo { id, peer, tls, .. } = cx.connection;
    let client = cx.data.get::<ClientId>().map(|client| {
        client.fields.iter().map(|(name, value)| (name.clone(), json!(value))).collect::<Map<_, _>>()
    });
    let identity = state.login().map(|login| &login.identity);
    json!({
        "id": id,
        "peer": peer,
        "tls": tls,
        "state": state.name(),
        "user": identity.map(|identity| &identity.name),
        "account": identity.map(|identity| identity.account.as_str()),
        "mailbox": state.selected().map(mailbox),
        "enabled": cx.policy.enabled,
        "client": client,
    })
}

fn mailbox(selected: &Selected) -> Value {
    let Selected { name, read_only, view, .. } = selected;
    json!({
        "name": name,
        "readonly": read_only,
        "exists": view.exists(),
        "recent": view.recent_count(),
        "uidvalidity": view.hub().uid_validity(),
        "uidnext": view.hub().uid_next().get(),
    })
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn words_in_any_case_and_strings_of_any_form() {
        let read = |text: &str| parse(&mut Args::new(text.as_bytes(), 0), None);
        for text in [
            " SERVER",
            " connection",
            " Storage",
            " SHUTDOWN",
            " USERDEL jill",
            " useradd \"jill\" \"a \\\"b\\\"\"",
            " USERADD {4}\r\njill {2}\r\nab",
        ] {
            assert!(read(text).is_ok(), "{text:?}");
        }
        for text in [
            "",
            " ",
            " X",
            " SERVER ",
            " STORAGE jill",
            " USERADD",
            " USERADD jill",
            " USERADD jill ab c",
            " USERADD jill (ab)",
            " USERDEL",
            " USERDEL jill ab",
            " USERDEL {1}\r\n\u{80}",
            "  SERVER",
            " FAULT CLEAR",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        assert!(parse(&mut Args::new(b" USERDEL {1}\r\n\xff", 0), None).is_err());
    }

    #[test]
    fn elsewhere_it_has_to_be_allowed_and_asks_for_a_login() {
        let here: [Option<IpAddr>; 2] = [None, Some("127.0.0.9".parse().unwrap())];
        let there: Option<IpAddr> = Some("192.0.2.1".parse().unwrap());
        for remote in [false, true] {
            for is_authenticated in [false, true] {
                let is_refused = |peer| {
                    let connection = ConnectionInfo::new(1, peer, true);
                    XToyBird { remote }.refusal(&connection, is_authenticated).is_some()
                };
                assert!(!here.into_iter().any(is_refused));
                assert_eq!(is_refused(there), !(remote && is_authenticated));
            }
        }
    }
}
