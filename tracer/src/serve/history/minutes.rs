//! What the requests of a route, and the calls to a peer, came to in a minute.

use rusqlite::{OptionalExtension as _, Transaction, params};

use super::{
    histogram::Histogram,
    sums,
    writer::{is_call_error, is_error},
};
use crate::report::types::{Buckets, Call, Request};

/// Requests of a route in a minute.
#[derive(Default)]
pub struct Minute {
    requests: u64,
    errors: u64,
    incomplete: u64,
    wall: Histogram,
    buckets: Buckets,
}

/// Calls to a peer in a minute.
#[derive(Default)]
pub struct CallMinute {
    calls: u64,
    errors: u64,
    retries: u64,
    input_tokens: u64,
    output_tokens: u64,
    wall: Histogram,
    first_byte: Histogram,
    first_content: Histogram,
    /// Thousandths of a token per second.
    token_rate: Histogram,
}

impl Minute {
    pub fn add(&mut self, request: &Request) {
        self.requests += 1;
        self.errors += u64::from(is_error(request));
        self.incomplete += u64::from(!request.complete);
        self.wall.add(request.wall_ns);
        sums::add(&mut self.buckets, &request.buckets);
    }

    /// Adds it to what the database has of that minute.
    pub fn write(mut self, database: &Transaction, minute: u64, route: i64) -> rusqlite::Result<()> {
        let mut find = database.prepare_cached(
            "SELECT requests, errors, incomplete, wall, buckets FROM minutes WHERE minute = ? AND route = ?",
        )?;
        find.query_row(params![minute as i64, route], |row| {
            self.requests += row.get::<_, i64>(0)? as u64;
            self.errors += row.get::<_, i64>(1)? as u64;
            self.incomplete += row.get::<_, i64>(2)? as u64;
            self.wall.merge_encoded(row.get_ref(3)?.as_blob()?);
            sums::add(&mut self.buckets, &sums::decode(row.get_ref(4)?.as_blob()?));
            Ok(())
        })
        .optional()?;
        database.prepare_cached("INSERT OR REPLACE INTO minutes VALUES (?, ?, ?, ?, ?, ?, ?)")?.execute(
            params![
                minute as i64,
                route,
                self.requests as i64,
                self.errors as i64,
                self.incomplete as i64,
                self.wall.encode(),
                sums::encode(&self.buckets),
            ],
        )?;
        Ok(())
    }
}

impl CallMinute {
    pub fn add(&mut self, call: &Call) {
        self.calls += 1;
        self.errors += u64::from(is_call_error(call));
        self.retries += u64::from(call.attempt > 1);
        self.input_tokens = self.input_tokens.saturating_add(call.input_tokens.unwrap_or(0));
        self.output_tokens = self.output_tokens.saturating_add(call.output_tokens.unwrap_or(0));
        self.wall.add(call.wall_ns);
        call.first_byte_ns.into_iter().for_each(|ns| self.first_byte.add(ns));
        call.first_content_ns.into_iter().for_each(|ns| self.first_content.add(ns));
        call.tokens_per_second().into_iter().for_each(|rate| self.token_rate.add((rate * 1_000.0) as u64));
    }

    /// Adds it to what the database has of that minute.
    pub fn write(mut self, database: &Transaction, minute: u64, peer: i64) -> rusqlite::Result<()> {
        let mut find = database.prepare_cached(
            "SELECT calls, errors, retries, input_tokens, output_tokens, wall, first_byte, first_content, token_rate
             FROM call_minutes WHERE minute = ? AND peer = ?",
        )?;
        find.query_row(params![minute as i64, peer], |row| {
            self.calls += row.get::<_, i64>(0)? as u64;
            self.errors += row.get::<_, i64>(1)? as u64;
            self.retries += row.get::<_, i64>(2)? as u64;
            self.input_tokens += row.get::<_, i64>(3)? as u64;
            self.output_tokens += row.get::<_, i64>(4)? as u64;
            self.wall.merge_encoded(row.get_ref(5)?.as_blob()?);
            self.first_byte.merge_encoded(row.get_ref(6)?.as_blob()?);
            self.first_content.merge_encoded(row.get_ref(7)?.as_blob()?);
            self.token_rate.merge_encoded(row.get_ref(8)?.as_blob()?);
            Ok(())
        })
        .optional()?;
        database
            .prepare_cached("INSERT OR REPLACE INTO call_minutes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
            .execute(params![
                minute as i64,
                peer,
                self.calls as i64,
                self.errors as i64,
                self.retries as i64,
                self.input_tokens as i64,
                self.output_tokens as i64,
                self.wall.encode(),
                self.first_byte.encode(),
                self.first_content.encode(),
                self.token_rate.encode(),
            ])?;
        Ok(())
    }
}
