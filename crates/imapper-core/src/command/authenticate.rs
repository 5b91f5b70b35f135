//! AUTHENTICATE (RFC 3501 §6.2.2, RFC 4959): base64 and cancelling around a SASL mechanism.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::login::{enter, failed, plaintext_held, verify};
use crate::registry::{Context, Flow, InNotAuthenticated, Outcome, Row, Run, Waiting};
use crate::session::Reject;
use crate::users::{Exchange, Identity, Mechanism, Step};
use crate::wire::Args;

pub(super) fn row() -> Row {
    Row::new("AUTHENTICATE", Run::not_authenticated(Authenticate)).secret()
}

struct Authenticate;

#[async_trait]
impl InNotAuthenticated for Authenticate {
    async fn run(&self, cx: &mut Context<'_>, args: &mut Args<'_>) -> Outcome {
        args.sp()?;
        let name = args.word()?;
        let initial = if args.eat(b' ') { Some(args.take_while(|byte| byte != b' ')) } else { None };
        args.end()?;
        let mechanism = find(cx, &name)?;
        let response = match initial {
            None => None,
            Some(_) if !cx.shared.registry.has_initial_response() => {
                return Err(Reject::bad("an initial response can't be taken here"));
            }
            // RFC 4959 §3: "=" is a response of no octets.
            Some(b"=") => Some(Vec::new()),
            Some(encoded) => Some(decode(encoded)?),
        };
        let mut conversation = Conversation { exchange: mechanism.begin(), outcome: None };
        Ok(match conversation.step(cx, response.as_deref()).await? {
            Some(flow) => flow,
            None => Flow::Wait(Box::new(conversation)),
        })
    }
}

fn find(cx: &Context<'_>, name: &str) -> Result<Arc<dyn Mechanism>, Reject> {
    let served = |mechanism: &&Arc<dyn Mechanism>| cx.shared.users.kinds().contains(&mechanism.brings());
    let mechanism = cx.shared.registry.find_mechanism(name).filter(served);
    let mechanism = mechanism.ok_or_else(|| Reject::no("there is no such mechanism"))?;
    if mechanism.is_plaintext() && cx.shared.registry.is_plaintext_held(cx.connection) {
        return Err(plaintext_held());
    }
    Ok(Arc::clone(mechanism))
}

fn decode(encoded: &[u8]) -> Result<Vec<u8>, Reject> {
    STANDARD.decode(encoded).map_err(|_| Reject::bad("the response is not valid base64"))
}

/// An exchange under way.
struct Conversation {
    exchange: Box<dyn Exchange>,
    /// What the exchange has come to; the client still answers to the last challenge (RFC 7628 §3.2.3,
    /// RFC 5802 §3).
    outcome: Option<Result<Identity, Reject>>,
}

impl Conversation {
    /// `None`: a challenge has gone out.
    async fn step(&mut self, cx: &mut Context<'_>, response: Option<&[u8]>) -> Result<Option<Flow>, Reject> {
        let credentials = match self.exchange.step(response) {
            Step::Challenge(challenge) => {
                cx.out.proceed(STANDARD.encode(challenge).as_bytes()).await?;
                return Ok(None);
            }
            Step::Malformed(what) => return Err(Reject::bad(what)),
            Step::Verify(credentials) => credentials,
        };
        let outcome = verify(cx, &credentials).await;
        let challenge = self.exchange.verified(outcome.as_ref());
        // Counted before the challenge: whoever hangs up instead of answering it has guessed as well.
        let outcome = match outcome {
            Ok(identity) => Ok(identity),
            Err(error) => Err(failed(cx, error).await),
        };
        let Some(challenge) = challenge else { return enter(cx, outcome?).map(Some) };
        cx.out.proceed(STANDARD.encode(challenge).as_bytes()).await?;
        self.outcome = Some(outcome);
        Ok(None)
    }
}

#[async_trait]
impl Waiting for Conversation {
    async fn line(&mut self, cx: &mut Context<'_>, line: &[u8]) -> Result<Option<Flow>, Reject> {
        if line == b"*" {
            return Err(Reject::bad("cancelled"));
        }
        let response = decode(line)?;
        match self.outcome.take() {
            Some(outcome) => enter(cx, outcome?).map(Some),
            None => self.step(cx, Some(&response)).await,
        }
    }

    fn is_secret(&self) -> bool {
        true
    }
}
