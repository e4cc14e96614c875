//! The stash of the service, and its tables.

use gunmetal_client_core::{
    CallError, Outgoing, StashError, StashKey, StashMessage, StashValue, TableInfo, TableScan,
};
use gunmetal_protocol::{Bytes, Segments};
use serde::de::DeserializeOwned;

use crate::client::Client;
use crate::table::Table;

/// The stash: named tables of keys and values that all processes of the service share.
///
/// Made by [`Client::stash`]; cheap to clone. A table comes into being with the first
/// [`put`](Stash::put). Tables live in the arbiter, as long as the service: worker restarts and reloads
/// do not touch them. Each operation is atomic, and one request to the arbiter; none calls a worker.
/// Operations share a connection with the client's calls, and overlap.
///
/// ```no_run
/// # use gunmetal_client::{CallError, Client};
/// # async fn f(client: Client) -> Result<(), CallError> {
/// let stash = client.stash();
/// stash.put("visits", "eve", 1).await?;
/// let count: Option<u32> = stash.get("visits", "eve").await?;
/// for key in stash.keys("visits", "e*").await? {
///     println!("{key}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// Every operation may end with a [`CallError`]: [`CallError::Stash`] says that the stash refused it,
/// [`CallError::Unsupported`] that the arbiter has none. [`put`](Stash::put) with a value that cannot be
/// encoded ends with [`CallError::Encode`], [`get`](Stash::get) of a value that is no `T` with
/// [`CallError::Decode`].
///
/// # Cancel safety
///
/// Dropping the future of an operation does not take back what the arbiter has received.
#[derive(Debug, Clone)]
pub struct Stash {
    client: Client,
}

impl Stash {
    pub(crate) fn new(client: Client) -> Stash {
        Stash { client }
    }

    /// Stores a value under a key, in the place of the one before.
    ///
    /// What can be stored: [`StashValue`].
    ///
    /// # Errors
    ///
    /// [`StashError::Full`] if there is no room for it, and as [`Stash`] says.
    pub async fn put(
        &self,
        table: &str,
        key: impl Into<StashKey>,
        value: impl StashValue,
    ) -> Result<(), CallError> {
        let (key, mut encoded) = (key.into(), Segments::new());
        let failed = |source| CallError::Encode { call: format!("stash put {table} {key}"), source };
        value.encode(&mut encoded).map_err(failed)?;
        self.done(StashMessage::put(table, &key, &encoded)).await
    }

    /// The value under a key; `None` if there is no such key, or no such table.
    ///
    /// `T` is what the value is decoded into: your own `Deserialize` type, a
    /// [`Value`](gunmetal_protocol::Value), or [`Bytes`], which is not copied.
    ///
    /// # Errors
    ///
    /// As [`Stash`] says.
    pub async fn get<T: DeserializeOwned + 'static>(
        &self,
        table: &str,
        key: impl Into<StashKey>,
    ) -> Result<Option<T>, CallError> {
        match self.ask(StashMessage::get(table, &key.into())).await {
            Ok(value) => Ok(Some(value)),
            Err(CallError::Stash(StashError::KeyNotFound { .. })) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The value under a key, or `default` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Stash`] says.
    pub async fn get_or<T: DeserializeOwned + 'static>(
        &self,
        table: &str,
        key: impl Into<StashKey>,
        default: T,
    ) -> Result<T, CallError> {
        Ok(self.get(table, key).await?.unwrap_or(default))
    }

    /// The value under a key that has to be there.
    ///
    /// # Errors
    ///
    /// [`StashError::KeyNotFound`] if it is not, and as [`Stash`] says.
    pub async fn fetch<T: DeserializeOwned + 'static>(
        &self,
        table: &str,
        key: impl Into<StashKey>,
    ) -> Result<T, CallError> {
        self.ask(StashMessage::get(table, &key.into())).await
    }

    /// Removes a key. Returns whether it was there.
    ///
    /// # Errors
    ///
    /// As [`Stash`] says.
    pub async fn delete(&self, table: &str, key: impl Into<StashKey>) -> Result<bool, CallError> {
        self.ask(StashMessage::delete(table, &key.into())).await
    }

    /// Whether a table has a key.
    ///
    /// # Errors
    ///
    /// As [`Stash`] says.
    pub async fn exists(&self, table: &str, key: impl Into<StashKey>) -> Result<bool, CallError> {
        match key.into() {
            // In the protocol this asks for the table.
            StashKey::None => Ok(self.get::<gunmetal_protocol::Value>(table, ()).await?.is_some()),
            key => self.ask(StashMessage::exists(table, &key)).await,
        }
    }

    /// Whether there is such a table.
    ///
    /// # Errors
    ///
    /// As [`Stash`] says.
    pub async fn table_exists(&self, table: &str) -> Result<bool, CallError> {
        self.ask(StashMessage::exists(table, &StashKey::None)).await
    }

    /// The keys of a table in the order in which they were first put, all of them or those that match a
    /// pattern; none if there is no such table.
    ///
    /// The pattern is a shell's: `*`, `?`, `[abc]`, `[!abc]`; keys that are no strings are matched as
    /// they print. A large table is better read with [`Table::keys_stream`].
    ///
    /// # Errors
    ///
    /// As [`Stash`] says.
    pub async fn keys<'p>(
        &self,
        table: &str,
        pattern: impl Into<Option<&'p str>>,
    ) -> Result<Vec<StashKey>, CallError> {
        let outgoing = Outgoing::Stash(StashMessage::keys(table, pattern.into()));
        outgoing.decode_keys(self.result_of(&outgoing).await?)
    }

    /// Removes all entries of a table.
    ///
    /// # Errors
    ///
    /// As [`Stash`] says.
    pub async fn clear(&self, table: &str) -> Result<(), CallError> {
        self.done(StashMessage::clear(table)).await
    }

    /// How large a table is.
    ///
    /// # Errors
    ///
    /// [`StashError::TableNotFound`] if there is none, and as [`Stash`] says.
    pub async fn info(&self, table: &str) -> Result<TableInfo, CallError> {
        self.ask(StashMessage::info(table)).await
    }

    /// Makes an empty table unless there is one.
    ///
    /// # Errors
    ///
    /// As [`Stash`] says.
    pub async fn ensure(&self, table: &str) -> Result<(), CallError> {
        self.done(StashMessage::ensure(table)).await
    }

    /// Removes a table with all its entries. Returns whether there was one.
    ///
    /// # Errors
    ///
    /// As [`Stash`] says.
    pub async fn delete_table(&self, table: &str) -> Result<bool, CallError> {
        self.ask(StashMessage::delete_table(table)).await
    }

    /// The names of all tables.
    ///
    /// # Errors
    ///
    /// As [`Stash`] says.
    pub async fn tables(&self) -> Result<Vec<String>, CallError> {
        self.ask(StashMessage::tables()).await
    }

    /// A table, to be used like a map. It need not exist.
    #[must_use]
    pub fn table(&self, name: impl Into<String>) -> Table {
        Table::new(self.clone(), name.into())
    }

    /// A walk over the keys of a table.
    pub(crate) fn scan_keys(&self, table: &str) -> TableScan {
        TableScan::of_keys(table, &self.client.connections.scan_support)
    }

    /// A walk over the entries of a table.
    pub(crate) fn scan_entries(&self, table: &str) -> TableScan {
        TableScan::of_entries(table, &self.client.connections.scan_support)
    }

    async fn ask<T: DeserializeOwned + 'static>(&self, message: StashMessage<'_>) -> Result<T, CallError> {
        self.client.ask(&Outgoing::Stash(message), self.client.config().call_timeout).await
    }

    /// Makes a request whose answer says no more than that it was done.
    async fn done(&self, message: StashMessage<'_>) -> Result<(), CallError> {
        self.result_of(&Outgoing::Stash(message)).await.map(drop)
    }

    pub(crate) async fn result_of(&self, outgoing: &Outgoing<'_>) -> Result<Bytes, CallError> {
        self.client.connections.result_of(outgoing, self.client.config().call_timeout).await
    }
}
