//! The extensions and the examples against a server in this process.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test fails by panicking")]

mod autologout;
mod client;
mod costs;
mod enable;
mod examples;
mod extensions;
mod flow_control;
mod no_trace;
mod nomodseq;
mod quota;
mod read_only;
mod registered;
mod resync;
mod scripts;
mod special_use;
mod turns;
mod uploads;
mod x_faults;
mod x_gm_ext_1;
mod xoauth2;

// The examples are programs; what they show is tested here.
#[allow(dead_code, unreachable_pub)]
#[path = "../../examples/silent.rs"]
mod silent;
#[allow(dead_code, unreachable_pub)]
#[path = "../../examples/wrapped_list.rs"]
mod wrapped_list;
#[allow(dead_code, unreachable_pub)]
#[path = "../../examples/xauth.rs"]
mod xauth;
#[allow(dead_code, unreachable_pub)]
#[path = "../../examples/xecho.rs"]
mod xecho;
#[allow(dead_code, unreachable_pub)]
#[path = "../../examples/xnote.rs"]
mod xnote;
#[allow(dead_code, unreachable_pub)]
#[path = "../../examples/xsum.rs"]
mod xsum;
