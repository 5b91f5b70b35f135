//! The runner passes what is right, and above all fails what is wrong.

use crate::fake::{Fake, Talk};
use imapper_testkit::{Failure, Outcome, Script, run_script, run_script_within};
use std::time::Duration;

const GREETING: (&str, &str) = ("", "* OK ready\r\n");

fn script(dialogue: &str) -> Script {
    Script::parse("test/case", &format!("title: T\nrfc: 3501 §1\n{dialogue}"), |_| None).unwrap()
}

async fn play(dialogue: &str, talk: Talk) -> Result<Outcome, Failure> {
    run_script(&script(dialogue), &Fake(talk)).await
}

/// One connection: the greeting, then these turns.
fn talk(turns: &[(&'static str, &'static str)]) -> Talk {
    vec![std::iter::once(GREETING).chain(turns.iter().copied()).collect()]
}

async fn passes(dialogue: &str, talk: Talk) {
    assert_eq!(play(dialogue, talk).await.map_err(|failure| failure.to_string()), Ok(Outcome::Passed));
}

/// The dialogue fails in this line of it, with this in the message.
async fn fails(dialogue: &str, talk: Talk, line: usize, what: &str) {
    let failure = play(dialogue, talk).await.expect_err(dialogue);
    assert_eq!(failure.line, line + 2, "{failure}");
    assert!(failure.to_string().contains(what), "{failure}");
    assert!(failure.to_string().contains("RFC 3501 §1"), "{failure}");
}

#[tokio::test]
async fn untagged_responses_come_in_any_order_up_to_the_answer() {
    let dialogue = "C: a1 X\nS: * 2 EXISTS\nS:? * 9 EXISTS\nS: * SEARCH 1\nS: a1 OK\n";
    passes(dialogue, talk(&[("a1 X\r\n", "* SEARCH 1\r\n* 2 EXISTS\r\na1 OK x\r\n")])).await;
    fails(dialogue, talk(&[("a1 X\r\n", "* SEARCH 1\r\na1 OK x\r\n")]), 2, "did not come").await;
    fails(dialogue, talk(&[("a1 X\r\n", "* SEARCH 2\r\n* 2 EXISTS\r\na1 OK x\r\n")]), 4, "came: * SEARCH 2")
        .await;
    fails(dialogue, talk(&[("a1 X\r\n", "* SEARCH 1\r\n* 2 EXISTS\r\na1 NO x\r\n")]), 5, "NO instead of OK")
        .await;
    fails(dialogue, talk(&[("a1 X\r\n", "* SEARCH 1\r\n* 2 EXISTS\r\na2 OK x\r\n")]), 5, "`a2`").await;
}

#[tokio::test]
async fn what_no_line_asks_for_fails_unless_servers_may_always_say_it() {
    let dialogue = "C: a1 X\nS: a1 OK\n";
    let free = "* OK hello\r\n* 0 RECENT\r\n* FLAGS (a)\r\n* CAPABILITY IMAP4rev1\r\na1 OK x\r\n";
    passes(dialogue, talk(&[("a1", free)])).await;
    passes(dialogue, talk(&[("a1", "* 5 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\na1 OK x\r\n")])).await;
    for wrong in [
        "* 5 EXISTS\r\na1 OK x\r\n",
        "* BYE x\r\na1 OK x\r\n",
        "* NO x\r\na1 OK x\r\n",
        "* 1 EXPUNGE\r\na1 OK x\r\n",
    ] {
        let failure = play(dialogue, talk(&[("a1", wrong)])).await.expect_err(wrong);
        assert!(failure.what.contains("without being asked for"), "{failure}");
        assert_eq!(failure.line, 4, "{failure}");
    }
    fails(dialogue, talk(&[("a1", "+ go\r\na1 OK x\r\n")]), 2, "another kind").await;
}

#[tokio::test]
async fn order_is_checked_where_it_counts() {
    let marked = "C: a1 X\nS:> * 2 EXISTS\nS:> * 3 EXISTS\nS: a1 OK\n";
    passes(marked, talk(&[("a1", "* 2 EXISTS\r\n* 3 EXISTS\r\na1 OK x\r\n")])).await;
    fails(marked, talk(&[("a1", "* 3 EXISTS\r\n* 2 EXISTS\r\na1 OK x\r\n")]), 3, "did not come").await;
    let expunge = "C: a1 X\nS: * 3 EXPUNGE\nS: * 1 EXPUNGE\nS: a1 OK\n";
    passes(expunge, talk(&[("a1", "* 3 EXPUNGE\r\n* 1 EXPUNGE\r\na1 OK x\r\n")])).await;
    fails(expunge, talk(&[("a1", "* 1 EXPUNGE\r\n* 3 EXPUNGE\r\na1 OK x\r\n")]), 3, "did not come").await;
}

#[tokio::test]
async fn what_must_not_come() {
    let dialogue = "C: a1 X\nS:- * OK [UNSEEN *]\nS: a1 OK\n";
    passes(dialogue, talk(&[("a1", "* OK x\r\na1 OK x\r\n")])).await;
    fails(dialogue, talk(&[("a1", "* OK [UNSEEN 1] x\r\na1 OK x\r\n")]), 2, "must not").await;
}

#[tokio::test]
async fn words_are_kept_and_sent_back() {
    let dialogue = "C: a1 X\nS: * OK [UIDNEXT <n:positive>]\nS: a1 OK\nC: a2 FETCH <=n>\nS: * 1 FETCH (UID <>=n>)\nS: a2 OK\n";
    let first = ("a1", "* OK [UIDNEXT 12] x\r\na1 OK x\r\n");
    passes(dialogue, talk(&[first, ("a2 FETCH 12\r\n", "* 1 FETCH (UID 12)\r\na2 OK x\r\n")])).await;
    fails(dialogue, talk(&[first, ("a2 FETCH 12\r\n", "* 1 FETCH (UID 11)\r\na2 OK x\r\n")]), 5, "UID").await;
}

#[tokio::test]
async fn literals_wait_for_the_server() {
    let dialogue = "C: a1 LOGIN {{{bob}}} {{{\ns\n}}}\nS: a1 OK\n";
    let good = [("a1 LOGIN {3}\r\n", "+ go\r\n"), ("bob {3}\r\n", "+ go\r\n"), ("s\r\n\r\n", "a1 OK x\r\n")];
    passes(dialogue, talk(&good)).await;
    fails(dialogue, talk(&[("a1 LOGIN {3}\r\n", "a1 NO x\r\n")]), 4, "NO instead of OK").await;
    let refused = "C: a1 LOGIN {{{bob}}}\nS: a1 NO\n";
    passes(refused, talk(&[("a1 LOGIN {3}\r\n", "a1 NO x\r\n")])).await;
    let at_once = "C: a1 LOGIN {{{+bob}}}\nS: a1 OK\n";
    passes(at_once, talk(&[("a1 LOGIN {3+}\r\nbob\r\n", "a1 OK x\r\n")])).await;
    let by_hand = "C: a1 LOGIN {3}\nS: + go\nC: bob\nS: a1 OK\n";
    passes(by_hand, talk(&[("a1 LOGIN {3}\r\n", "+ go\r\n"), ("bob\r\n", "a1 OK x\r\n")])).await;
    let from_server = "C: a1 X\nS: * 1 FETCH (BODY[] {{{\na\n}}} UID 4)\nS: a1 OK\n";
    passes(from_server, talk(&[("a1", "* 1 FETCH (UID 4 BODY[] {3}\r\na\r\n)\r\na1 OK x\r\n")])).await;
}

#[tokio::test]
async fn several_sessions_and_lines_without_an_answer() {
    let dialogue = "C1: a1 IDLE\nS1: + idling\nC2: b1 X\nS2: b1 OK\nS1: * 2 EXISTS\nC1: DONE\nS1: a1 OK\n";
    let one = vec![GREETING, ("IDLE", "+ \r\n* 2 EXISTS\r\n"), ("DONE", "a1 OK x\r\n")];
    let two = vec![GREETING, ("b1", "b1 OK x\r\n")];
    passes(dialogue, vec![one, two.clone()]).await;
    let early = vec![GREETING, ("IDLE", "+ \r\na1 OK x\r\n")];
    fails(dialogue, vec![early, two], 5, "came too early").await;
}

#[tokio::test]
async fn an_answer_without_a_clear_tag() {
    let dialogue = "C: a1\nS: a1|* BAD\nC: a2 X\nS: a2 OK\n";
    passes(dialogue, talk(&[("a1", "* BAD x\r\n"), ("a2", "a2 OK x\r\n")])).await;
    passes(dialogue, talk(&[("a1", "a1 BAD x\r\n"), ("a2", "a2 OK x\r\n")])).await;
    fails(dialogue, talk(&[("a1", "a1 OK x\r\n")]), 2, "OK instead of BAD").await;
}

#[tokio::test]
async fn the_end_of_a_connection() {
    let dialogue = "C: a1 LOGOUT\nS: * BYE\nS: a1 OK\nX:\n";
    passes(dialogue, talk(&[("a1", "* BYE x\r\na1 OK x\r\n"), ("", "close")])).await;
    fails("C: a1 X\nS: a1 OK\n", talk(&[("a1", "close")]), 2, "closed").await;
    fails(
        dialogue,
        talk(&[("a1", "* BYE x\r\na1 OK x\r\n* OK x\r\na2 OK x\r\n"), ("", "close")]),
        4,
        "too early",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_server_costs_the_time_limit_and_no_more() {
    let waits = script("C: a1 X\nS: a1 OK\n");
    let failure = run_script_within(&waits, &Fake(talk(&[])), Duration::from_secs(3)).await.unwrap_err();
    assert_eq!((failure.line, failure.what.contains("before the time was over")), (4, true), "{failure}");
    let stays = script("C: a1 X\nS: a1 OK\nX:\n");
    let failure =
        run_script_within(&stays, &Fake(talk(&[("a1", "a1 OK x\r\n")])), Duration::from_secs(3)).await;
    assert_eq!(failure.unwrap_err().line, 5);
}

#[tokio::test]
async fn greetings() {
    passes("S: * OK\nC: a1 X\nS: a1 OK\n", talk(&[("a1", "a1 OK x\r\n")])).await;
    fails("C: a1 X\nS: a1 OK\n", vec![vec![("", "* BYE x\r\n")]], 1, "greeting").await;
    let state = "state: selected INBOX\nC: a1 X\nS: a1 OK\n";
    let login = ("LOGIN \"testuser\" \"testpass\"\r\n", "state-1 OK x\r\n");
    passes(state, talk(&[login, ("SELECT INBOX", "* 3 EXISTS\r\nstate-2 OK x\r\n"), ("a1", "a1 OK x\r\n")]))
        .await;
    fails(state, talk(&[login, ("SELECT INBOX", "state-2 NO x\r\n")]), 2, "state-2 NO").await;
}

#[tokio::test]
async fn broken_responses_fail_the_script() {
    let dialogue = "C: a1 X\nS: a1 OK\n";
    fails(dialogue, talk(&[("a1", "* SEARCH 1 \r\na1 OK x\r\n")]), 2, "malformed").await;
    fails(dialogue, talk(&[("a1", "* OK x\na1 OK x\r\n")]), 2, "LF without CR").await;
    fails(dialogue, talk(&[("a1", "a1 OK\r\n")]), 2, "without a text").await;
    fails(dialogue, talk(&[("a1", "a1 O"), ("", "close")]), 2, "half a response").await;
}

#[tokio::test]
async fn a_script_that_the_server_can_not_serve_is_skipped() {
    let outcome = play("needs: XMISSING\nC: a1 X\nS: a1 OK\n", talk(&[])).await.unwrap();
    assert_eq!(outcome, Outcome::Skipped("XMISSING".into()));
}
