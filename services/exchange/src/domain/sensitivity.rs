//! How sensitive a field is: the level that its comment in the contract ends with, read from the descriptors. The contract
//! is the one place that says it, so a new field cannot be forgotten here.

use std::{collections::HashMap, sync::LazyLock};

use prost_reflect::{FieldDescriptor, FileDescriptor};
use qianshou_kernel::kind::descriptors;
use qianshou_proto::exchange::v1::Sensitivity;

/// Levels by file and path of the field within it.
static LEVELS: LazyLock<HashMap<(String, Vec<i32>), Sensitivity>> =
    LazyLock::new(|| descriptors().files().flat_map(of_file).collect());

fn of_file(file: FileDescriptor) -> Vec<((String, Vec<i32>), Sensitivity)> {
    let Some(info) = &file.file_descriptor_proto().source_code_info else {
        return vec![];
    };
    let found = info.location.iter().filter_map(|place| {
        let level = level_in(place.leading_comments.as_deref()?)?;
        Some(((file.name().to_owned(), place.path.clone()), level))
    });
    found.collect()
}

/// The highest level that a comment names; `L3 at home, L4 beyond it` is L4, for what crosses is beyond.
fn level_in(comment: &str) -> Option<Sensitivity> {
    let words = comment.split(|c: char| !c.is_ascii_alphanumeric());
    let levels = words.filter_map(|word| match word {
        "L1" => Some(Sensitivity::L1),
        "L2" => Some(Sensitivity::L2),
        "L3" => Some(Sensitivity::L3),
        "L4" => Some(Sensitivity::L4),
        _ => None,
    });
    levels.max_by_key(|level| *level as i32)
}

/// The level of a field; one that no comment classifies is L4 and never crosses.
#[must_use]
pub fn of(field: &FieldDescriptor) -> Sensitivity {
    let key = (field.parent_file().name().to_owned(), field.path().to_vec());
    LEVELS.get(&key).copied().unwrap_or(Sensitivity::L4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contract_says_how_sensitive_a_field_is() {
        let level = |message: &str, field: &str| {
            let message = descriptors().get_message_by_name(message).unwrap();
            of(&message.get_field_by_name(field).unwrap())
        };
        assert_eq!(level("qianshou.registry.v1.Division", "code"), Sensitivity::L1);
        assert_eq!(level("qianshou.registry.v1.Agency", "uscc"), Sensitivity::L2);
        assert_eq!(level("qianshou.registry.v1.Worker", "full_name"), Sensitivity::L3);
        assert_eq!(level("qianshou.registry.v1.Worker", "id_number"), Sensitivity::L4);
    }
}
