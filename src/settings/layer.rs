//! The settings that one source gives, each with its origin.

use std::path::PathBuf;
use std::time::Duration;

use gunmetal_arbiter::{AppSpec, BindAddress, MAX_WORKERS};

use super::error::SettingsError;
use super::key::Key;
use super::origin::Origin;
use super::raw::Raw;
use crate::log_level::LogLevel;

/// A value and where it was written.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Given<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// Some of the settings; what is `None` is left to the layers below.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layer {
    pub(crate) bind: Option<Given<Vec<BindAddress>>>,
    pub(crate) workers: Option<Given<u32>>,
    pub(crate) timeout: Option<Given<Duration>>,
    pub(crate) graceful_timeout: Option<Given<Duration>>,
    pub(crate) dirty_apps: Option<Given<Vec<AppSpec>>>,
    pub(crate) dirty_workers: Option<Given<u32>>,
    pub(crate) dirty_timeout: Option<Given<Duration>>,
    pub(crate) dirty_threads: Option<Given<u32>>,
    pub(crate) dirty_graceful_timeout: Option<Given<Duration>>,
    pub(crate) dirty_stash_limit: Option<Given<u64>>,
    pub(crate) dirty_max_requests: Option<Given<u64>>,
    pub(crate) dirty_max_requests_jitter: Option<Given<u64>>,
    pub(crate) dirty_max_rss: Option<Given<u64>>,
    /// The file; `None` in it is standard error.
    pub(crate) error_log: Option<Given<Option<PathBuf>>>,
    pub(crate) log_level: Option<Given<LogLevel>>,
}

impl Layer {
    /// Checks a value and keeps it.
    pub(crate) fn set(&mut self, key: Key, raw: &Raw, origin: Origin) -> Result<(), SettingsError> {
        let at = origin.clone();
        let outcome = match key {
            Key::Bind => put(&mut self.bind, raw.list().and_then(not_empty), at),
            Key::Workers => put(&mut self.workers, raw.count(0, MAX_WORKERS), at),
            Key::Timeout => put(&mut self.timeout, raw.seconds(), at),
            Key::GracefulTimeout => put(&mut self.graceful_timeout, raw.seconds(), at),
            Key::DirtyApps => put(&mut self.dirty_apps, raw.list(), at),
            Key::DirtyWorkers => put(&mut self.dirty_workers, raw.count(0, MAX_WORKERS), at),
            Key::DirtyTimeout => put(&mut self.dirty_timeout, raw.seconds(), at),
            Key::DirtyThreads => put(&mut self.dirty_threads, raw.count(1, MAX_WORKERS), at),
            Key::DirtyGracefulTimeout => put(&mut self.dirty_graceful_timeout, raw.seconds(), at),
            Key::DirtyStashLimit => put(&mut self.dirty_stash_limit, raw.size(), at),
            Key::DirtyMaxRequests => put(&mut self.dirty_max_requests, raw.whole_number(), at),
            Key::DirtyMaxRequestsJitter => put(&mut self.dirty_max_requests_jitter, raw.whole_number(), at),
            Key::DirtyMaxRss => put(&mut self.dirty_max_rss, raw.size(), at),
            Key::ErrorLog => put(&mut self.error_log, raw.file_or_dash(), at),
            Key::LogLevel => put(&mut self.log_level, raw.log_level(), at),
        };
        outcome.map_err(|reason| SettingsError::BadValue {
            origin,
            key: key.name(),
            found: raw.to_string(),
            reason,
            allowed: key.allowed(),
        })
    }

    /// This layer's values, and `lower`'s where this one has none.
    pub(crate) fn over(self, lower: Self) -> Self {
        Self {
            bind: self.bind.or(lower.bind),
            workers: self.workers.or(lower.workers),
            timeout: self.timeout.or(lower.timeout),
            graceful_timeout: self.graceful_timeout.or(lower.graceful_timeout),
            dirty_apps: self.dirty_apps.or(lower.dirty_apps),
            dirty_workers: self.dirty_workers.or(lower.dirty_workers),
            dirty_timeout: self.dirty_timeout.or(lower.dirty_timeout),
            dirty_threads: self.dirty_threads.or(lower.dirty_threads),
            dirty_graceful_timeout: self.dirty_graceful_timeout.or(lower.dirty_graceful_timeout),
            dirty_stash_limit: self.dirty_stash_limit.or(lower.dirty_stash_limit),
            dirty_max_requests: self.dirty_max_requests.or(lower.dirty_max_requests),
            dirty_max_requests_jitter: self.dirty_max_requests_jitter.or(lower.dirty_max_requests_jitter),
            dirty_max_rss: self.dirty_max_rss.or(lower.dirty_max_rss),
            error_log: self.error_log.or(lower.error_log),
            log_level: self.log_level.or(lower.log_level),
        }
    }
}

fn put<T>(field: &mut Option<Given<T>>, value: Result<T, String>, origin: Origin) -> Result<(), String> {
    *field = Some(Given { value: value?, origin });
    Ok(())
}

fn not_empty<T>(list: Vec<T>) -> Result<Vec<T>, String> {
    if list.is_empty() { Err("the list is empty".into()) } else { Ok(list) }
}
