//! The storage as the core sees it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod conformance;
mod contract;
mod copying;
mod dump;
mod faults;
mod fixture;
mod staging;
mod threads;
mod watching;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use imapper_core::storage::{
    AccountId, Appended, ByteStream, FlagChange, FlagOp, Mbox, NewMessage, Result, Row, Staged, Storage,
    StorageError, TreeOp, Want,
};
use imapper_core::types::{BodyRef, Flags, InternalDate, SystemFlag, Uid, UidSet};
use imapper_storage_memory::Memory;

const DATE: InternalDate = InternalDate { seconds: 1_379_204_548, offset_minutes: -180 };

fn john() -> AccountId {
    AccountId::from("john")
}

fn uid(number: u32) -> Uid {
    Uid::new(number).unwrap()
}

fn uids(numbers: impl IntoIterator<Item = u32>) -> UidSet {
    numbers.into_iter().map(uid).collect()
}

fn stream_of(pieces: &[&[u8]]) -> ByteStream {
    let pieces: Vec<Result<Bytes>> = pieces.iter().map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces).boxed()
}

async fn mbox_of(memory: &Memory, account: &AccountId, name: &str) -> Mbox {
    let list = memory.list(account).await.unwrap();
    let info = list.into_iter().find(|info| info.name == name).unwrap_or_else(|| panic!("no mailbox {name}"));
    Mbox { account: account.clone(), id: info.id }
}

async fn inbox(memory: &Memory) -> Mbox {
    mbox_of(memory, &john(), "INBOX").await
}

async fn create(memory: &Memory, name: &str) -> Mbox {
    let op = TreeOp::Create { name: name.to_owned(), special_use: Vec::new() };
    let id = memory.tree(&john(), op).await.unwrap().unwrap().id;
    Mbox { account: john(), id }
}

async fn stage(memory: &Memory, text: &[u8]) -> Staged {
    memory.stage(&john(), Some(text.len() as u64), stream_of(&[text])).await.unwrap()
}

async fn append_with(memory: &Memory, mbox: &Mbox, text: &[u8], flags: Flags) -> Appended {
    let message = NewMessage::new(stage(memory, text).await, flags, DATE);
    memory.append(mbox, vec![message]).await.unwrap()
}

async fn append(memory: &Memory, mbox: &Mbox, text: &[u8]) -> Uid {
    append_with(memory, mbox, text, Flags::default()).await.uids[0]
}

async fn rows(memory: &Memory, mbox: &Mbox, uids: &UidSet) -> Vec<Row> {
    memory.rows(mbox, uids, Want::ALL).await.unwrap().try_concat().await.unwrap()
}

async fn row(memory: &Memory, mbox: &Mbox, number: Uid) -> Row {
    let found = rows(memory, mbox, &[number].into_iter().collect()).await;
    found.into_iter().next().unwrap()
}

async fn read(memory: &Memory, body: &BodyRef, range: Range<u64>) -> Vec<u8> {
    let pieces: Vec<Bytes> = memory.read(body, range).await.unwrap().try_collect().await.unwrap();
    pieces.concat()
}

async fn text(memory: &Memory, mbox: &Mbox, number: Uid) -> Vec<u8> {
    let body = row(memory, mbox, number).await.body.unwrap();
    read(memory, &body, 0..u64::MAX).await
}

fn add(uids: UidSet, flag: SystemFlag) -> FlagChange {
    FlagChange { uids, op: FlagOp::Add(flag.into()), unchanged_since: None }
}
