//! One table of the stash, like a map.

use gunmetal_client_core::{CallError, StashError, StashKey, StashValue, TableInfo};
use serde::de::DeserializeOwned;

use crate::entries::{Entries, Keys};
use crate::stash::Stash;

/// One table of the stash, used like a map; see [`Stash::table`].
///
/// Cheap to clone. It need not exist: a missing table is an empty one, and comes into being with the
/// first [`insert`](Table::insert).
///
/// ```no_run
/// # use gunmetal_client::{CallError, Client};
/// # use futures_util::StreamExt;
/// # async fn f(client: Client) -> Result<(), CallError> {
/// let sessions = client.stash().table("sessions");
/// sessions.insert("eve", "admin").await?;
/// assert_eq!(sessions.get("eve").await?, Some("admin".to_owned()));
/// let mut entries = sessions.stream::<String>();
/// while let Some(entry) = entries.next().await {
///     let (user, role) = entry?;
///     println!("{user}: {role}");
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As those of [`Stash`].
#[derive(Debug, Clone)]
pub struct Table {
    stash: Stash,
    name: String,
}

impl Table {
    pub(crate) fn new(stash: Stash, name: String) -> Table {
        Table { stash, name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value under a key; see [`Stash::get`].
    ///
    /// # Errors
    ///
    /// As [`Table`] says.
    pub async fn get<T: DeserializeOwned + 'static>(
        &self,
        key: impl Into<StashKey>,
    ) -> Result<Option<T>, CallError> {
        self.stash.get(&self.name, key).await
    }

    /// The value under a key, or `default` if there is none.
    ///
    /// # Errors
    ///
    /// As [`Table`] says.
    pub async fn get_or<T: DeserializeOwned + 'static>(
        &self,
        key: impl Into<StashKey>,
        default: T,
    ) -> Result<T, CallError> {
        self.stash.get_or(&self.name, key, default).await
    }

    /// The value under a key that has to be there.
    ///
    /// # Errors
    ///
    /// [`StashError::KeyNotFound`] if it is not, and as [`Table`] says.
    pub async fn fetch<T: DeserializeOwned + 'static>(
        &self,
        key: impl Into<StashKey>,
    ) -> Result<T, CallError> {
        self.stash.fetch(&self.name, key).await
    }

    /// Stores a value under a key, in the place of the one before; see [`Stash::put`].
    ///
    /// # Errors
    ///
    /// [`StashError::Full`] if there is no room for it, and as [`Table`] says.
    pub async fn insert(&self, key: impl Into<StashKey>, value: impl StashValue) -> Result<(), CallError> {
        self.stash.put(&self.name, key, value).await
    }

    /// Removes a key. Returns whether it was there.
    ///
    /// # Errors
    ///
    /// As [`Table`] says.
    pub async fn remove(&self, key: impl Into<StashKey>) -> Result<bool, CallError> {
        self.stash.delete(&self.name, key).await
    }

    /// Whether the table has this key.
    ///
    /// # Errors
    ///
    /// As [`Table`] says.
    pub async fn contains(&self, key: impl Into<StashKey>) -> Result<bool, CallError> {
        self.stash.exists(&self.name, key).await
    }

    /// Entries in the table.
    ///
    /// # Errors
    ///
    /// As [`Table`] says.
    pub async fn len(&self) -> Result<u64, CallError> {
        match self.info().await {
            Ok(info) => Ok(info.size),
            Err(CallError::Stash(StashError::TableNotFound { .. })) => Ok(0),
            Err(error) => Err(error),
        }
    }

    /// Whether there are no entries.
    ///
    /// # Errors
    ///
    /// As [`Table`] says.
    pub async fn is_empty(&self) -> Result<bool, CallError> {
        Ok(self.len().await? == 0)
    }

    /// The keys, all of them or those that match a pattern, at once; see [`Stash::keys`].
    ///
    /// # Errors
    ///
    /// As [`Table`] says.
    pub async fn keys<'p>(&self, pattern: impl Into<Option<&'p str>>) -> Result<Vec<StashKey>, CallError> {
        self.stash.keys(&self.name, pattern).await
    }

    /// A stream of keys and values, fetched a part at a time.
    #[must_use]
    pub fn stream<T: DeserializeOwned + 'static>(&self) -> Entries<T> {
        Entries::new(self.stash.clone(), self.stash.scan_entries(&self.name))
    }

    /// A stream of the keys, fetched a part at a time.
    #[must_use]
    pub fn keys_stream(&self) -> Keys {
        Keys::new(self.stash.clone(), self.stash.scan_keys(&self.name))
    }

    /// Removes all entries.
    ///
    /// # Errors
    ///
    /// As [`Table`] says.
    pub async fn clear(&self) -> Result<(), CallError> {
        self.stash.clear(&self.name).await
    }

    /// How large the table is.
    ///
    /// # Errors
    ///
    /// [`StashError::TableNotFound`] if there is none, and as [`Table`] says.
    pub async fn info(&self) -> Result<TableInfo, CallError> {
        self.stash.info(&self.name).await
    }
}
