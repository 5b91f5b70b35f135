//! What an extension leaves behind is found, wherever it is.

use std::io;

use imapper_testkit::no_trace::{Stage, Switched, Trace, no_trace};
use imapper_testkit::{BoxFuture, Stream};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream, duplex};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Leak {
    Nothing,
    Capability,
    Command,
    Enable,
    Dump,
    DumpKey,
    DumpBroken,
    Trace,
    /// Here the one that is on lacks something.
    Unshown,
    DumpEmpty,
}

/// Two servers that differ in an extension with a capability `BIRD`, a command of that name that makes a nest, and
/// a word `SONG` for ENABLE.
struct Birds(Leak);

impl Birds {
    fn answer(leak: Leak, is_on: bool, command: &str) -> &'static str {
        let is = |of: Leak| is_on || leak == of;
        match command {
            "CAPABILITY" if is(Leak::Capability) => "* CAPABILITY IMAP4rev1 BIRD\r\n",
            "CAPABILITY" => "* CAPABILITY IMAP4rev1\r\n",
            "BIRD" if !is(Leak::Command) => "x BAD\r\n",
            "SONG" => "x BAD\r\n",
            "NEST" if is(Leak::Trace) => "* NEST\r\n",
            "ENABLE SONG" if is(Leak::Enable) && leak != Leak::Unshown => "* ENABLED SONG\r\n",
            _ => "",
        }
    }
}

async fn serve(pipe: DuplexStream, leak: Leak, is_on: bool) -> io::Result<()> {
    let mut pipe = BufReader::new(pipe);
    pipe.write_all(b"* OK\r\n").await?;
    let mut line = String::new();
    while pipe.read_line(&mut line).await? > 0 {
        let (tag, command) = line.trim_end().split_once(' ').unwrap();
        let answer = Birds::answer(leak, is_on, command);
        pipe.write_all(answer.as_bytes()).await?;
        if !answer.starts_with('x') {
            pipe.write_all(format!("{tag} OK\r\n").as_bytes()).await?;
        }
        line.clear();
    }
    Ok(())
}

impl Switched for Birds {
    fn connect(&self, is_on: bool, _: bool) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        let (near, far) = duplex(1024);
        tokio::spawn(serve(far, self.0, is_on));
        Box::pin(async { Ok(Box::new(near) as Box<dyn Stream>) })
    }

    fn dump(&self, is_on: bool) -> Result<String, String> {
        Ok(match self.0 {
            Leak::DumpBroken => return Err("the dump is broken".to_owned()),
            Leak::DumpEmpty => "{}",
            Leak::DumpKey => "{\"nest\": 1}",
            Leak::Dump if !is_on => "{\"Song\": 1}",
            _ if is_on => "{\"nest\": 1}",
            _ => "{}",
        }
        .to_owned())
    }
}

async fn find(leak: Leak) -> Result<(), String> {
    let traces = [
        Trace { stage: Stage::Selected, command: "x NEST", on: "* NEST", off: "x OK" },
        Trace { stage: Stage::Dump, command: "", on: "\"nest\"", off: "" },
    ];
    no_trace(&Birds(leak), &["BIRD", "SONG"], &traces).await
}

#[tokio::test]
async fn each_trace_is_found() {
    assert_eq!(find(Leak::Nothing).await, Ok(()));
    for (leak, word) in [
        (Leak::Capability, "BIRD is told by CAPABILITY"),
        (Leak::Command, "the command BIRD is answered"),
        (Leak::Enable, "ENABLE turns SONG on"),
        (Leak::Dump, "SONG stands in the dump"),
        (Leak::DumpKey, "stands in the dump while it is off"),
        (Leak::DumpBroken, "the dump is broken"),
        (Leak::Trace, "an answer begins with"),
        (Leak::Unshown, "nothing shows [\"SONG\"]"),
        (Leak::DumpEmpty, "does not stand in the dump while it is on"),
    ] {
        let found = find(leak).await.unwrap_err();
        assert!(found.contains(word), "{leak:?}: {found}");
    }
}
