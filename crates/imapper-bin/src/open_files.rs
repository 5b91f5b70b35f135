//! How many files this process may have open: each connection is one.

use rlimit::Resource;

/// What is open beside the connections: listeners, the log, what the storage and the users read.
const OTHERS: u64 = 256;

/// Lets the process have so many connections open, as far as the system allows it. Gives a warning where it
/// does not.
pub(crate) fn allow(connections: usize) -> Option<String> {
    let wanted = u64::try_from(connections).unwrap_or(u64::MAX).saturating_add(OTHERS);
    let allowed = match rlimit::getrlimit(Resource::NOFILE) {
        Ok((soft, _)) if soft >= wanted => return None,
        Ok((soft, hard)) => {
            let more = wanted.min(hard);
            rlimit::setrlimit(Resource::NOFILE, more, hard).map_or(soft, |()| more)
        }
        Err(error) => return Some(format!("how many files may be open can't be told: {error}")),
    };
    (allowed < wanted).then(|| {
        format!(
            "`[limits] connections = {connections}` needs {wanted} open files, and only {allowed} are allowed: \
             raise that (`ulimit -Hn`, `LimitNOFILE=` of systemd) or lower `connections`"
        )
    })
}
