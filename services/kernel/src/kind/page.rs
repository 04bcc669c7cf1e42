//! Pages: how large one is, and where the next begins. A token holds the last key and a digest of what was asked, so a token of one
//! list does not continue another.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest, Sha256};

use super::Verbs;
use crate::error::{Error, Reason, Result};

/// What one answer weighs at most: clients take 4 MiB when nobody tells them otherwise.
pub const ANSWER_MAX_BYTES: usize = 3 << 20;
/// Entries that are read at once while an answer is filled; each may weigh as much as a record may.
pub(crate) const READ_AHEAD: usize = 50;

impl Verbs {
    /// How many a page may have, as `page_size` asks: 0 or absent, `list_page_records`; never more than `list_page_max_records`.
    pub fn page_size(&self, asked: Option<i32>) -> Result<usize> {
        match asked {
            Some(size) if size < 0 => Err(Error::refused("page_size", Reason::Malformed, "0–1000")),
            Some(size) if size > 0 => Ok(self.list_page_max_records.min(usize::try_from(size).unwrap_or(usize::MAX))),
            _ => Ok(self.list_page_records),
        }
    }
}

/// What was asked, shortly: whatever of it decides what a list holds and in which order.
fn digest(asked: &str) -> String {
    URL_SAFE_NO_PAD.encode(&Sha256::digest(asked)[..12])
}

/// The token of the page behind a key.
pub fn page_token(asked: &str, key: &impl Serialize) -> Result<String> {
    let token = serde_json::to_vec(&(digest(asked), key)).map_err(|cause| Error::Broken(cause.into()))?;
    Ok(URL_SAFE_NO_PAD.encode(token))
}

/// The key behind which a page begins; `None`: it is the first.
pub fn page_key<K: DeserializeOwned>(asked: &str, token: Option<&str>) -> Result<Option<K>> {
    let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(None) };
    let read = URL_SAFE_NO_PAD.decode(token).ok();
    let read = read.and_then(|bytes| serde_json::from_slice::<(String, K)>(&bytes).ok());
    let key = read.filter(|(of, _)| *of == digest(asked)).map(|(_, key)| key);
    key.map(Some).ok_or_else(|| Error::refused("page_token", Reason::BadPageToken, ""))
}
