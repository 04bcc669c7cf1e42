//! The end of what this node has of a person.

use qianshou_kernel::{
    audit,
    erasure::{Answer, Asked},
    error::Result,
    identity::Caller,
    kind::request_of,
};
use qianshou_proto::registry::v1::{ErasePersonRequest, ErasePersonResponse};

use crate::Registry;

impl Registry {
    /// Erases a person's records, or says which would be.
    pub(super) async fn erase(&self, caller: &Caller, asked: ErasePersonRequest) -> Result<ErasePersonResponse> {
        let request = request_of(caller, asked.request_id.as_deref(), "ErasePerson", &asked)?;
        let dry = asked.validate_only.unwrap_or(false);
        let ErasePersonRequest { name, reason, clause, .. } = asked;
        let [name, reason, clause] = [name, reason, clause].map(Option::unwrap_or_default);
        let Answer { records, position, versions, pages } =
            self.eraser.erase(caller, &Asked { name, reason, clause }, request, dry).await?;
        if !dry {
            audit::about(format_args!("{} records", records.len()));
        }
        Ok(ErasePersonResponse { records, position, versions, pages })
    }
}
