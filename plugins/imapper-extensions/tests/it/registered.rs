//! What is announced is known to others: a capability is registered with IANA, or begins with X (RFC 3501 §7.2.1).

use imapper_extensions::{Options, all};

use crate::client::{Client, LOCAL, REMOTE, server};

/// From IANA's list of IMAP capabilities; `AUTH=` and `SORT=` and their like stand there as such.
const REGISTERED: &[&str] = &[
    "ACL",
    "ANNOTATE-EXPERIMENT-1",
    "APPENDLIMIT",
    "BINARY",
    "CATENATE",
    "CHILDREN",
    "CONDSTORE",
    "CONVERT",
    "CREATE-SPECIAL-USE",
    "ENABLE",
    "ESEARCH",
    "ESORT",
    "FILTERS",
    "ID",
    "IDLE",
    "IMAP4rev1",
    "IMAP4rev2",
    "INPROGRESS",
    "LANGUAGE",
    "LIST-EXTENDED",
    "LIST-METADATA",
    "LIST-MYRIGHTS",
    "LIST-STATUS",
    "LITERAL+",
    "LITERAL-",
    "LOGIN-REFERRALS",
    "LOGINDISABLED",
    "MAILBOX-REFERRALS",
    "MESSAGELIMIT",
    "METADATA",
    "METADATA-SERVER",
    "MOVE",
    "MULTIAPPEND",
    "MULTISEARCH",
    "NAMESPACE",
    "NOTIFY",
    "OBJECTID",
    "PARTIAL",
    "PREVIEW",
    "QRESYNC",
    "QUOTA",
    "QUOTASET",
    "REPLACE",
    "SASL-IR",
    "SAVEDATE",
    "SAVELIMIT",
    "SEARCHRES",
    "SORT",
    "SPECIAL-USE",
    "STARTTLS",
    "STATUS=SIZE",
    "THREAD",
    "UIDBATCHES",
    "UIDONLY",
    "UIDPLUS",
    "UNAUTHENTICATE",
    "UNSELECT",
    "URL-PARTIAL",
    "URLAUTH",
    "URLFETCH=BINARY",
    "UTF8=ACCEPT",
    "UTF8=ONLY",
    "WITHIN",
];
const REGISTERED_PREFIXES: &[&str] =
    &["AUTH=", "COMPRESS=", "CONTEXT=", "I18NLEVEL=", "QUOTA=RES-", "RIGHTS=", "SORT=", "THREAD="];

fn is_known(word: &str) -> bool {
    word.starts_with('X')
        || REGISTERED.contains(&word)
        || REGISTERED_PREFIXES.iter().any(|prefix| word.starts_with(prefix))
        // With its value (RFC 7889).
        || word.starts_with("APPENDLIMIT=")
}

#[tokio::test]
async fn each_capability_is_registered_or_begins_with_x() {
    for names in [["LITERAL-"], ["LITERAL+"]] {
        let entries = all().into_iter().filter(|entry| !names.contains(&entry.name));
        let server = server(entries.map(|entry| entry.extension(&Options::default())).collect());
        for peer in [LOCAL, REMOTE] {
            let mut client = Client::greeted(&server, peer).await;
            let mut words = client.capabilities().await;
            if peer == LOCAL {
                client.ok("a1 LOGIN testuser testpass").await;
                words.extend(client.capabilities().await);
            }
            let unknown: Vec<&String> = words.iter().filter(|word| !is_known(word)).collect();
            assert!(words.len() > 2 && unknown.is_empty(), "{unknown:?}");
        }
    }
}
