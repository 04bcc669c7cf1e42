//! The grammar of `indicators.toml`; it refuses what it does not know.

use std::collections::BTreeMap;

use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    pub records: BTreeMap<String, Record>,
    #[serde(default)]
    pub joints: BTreeMap<String, Joint>,
    pub subjects: BTreeMap<String, Subject>,
    #[serde(default)]
    pub same: Vec<Same>,
    pub indicators: Vec<Indicator>,
    #[serde(default)]
    pub coverages: Vec<Coverage>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    pub message: String,
    pub area: String,
    #[serde(default, rename = "where")]
    pub conditions: Vec<Condition>,
    pub enters: String,
    pub not_before: Option<String>,
    pub leaves: Option<String>,
    pub leaves_after: Option<String>,
    #[serde(default)]
    pub needs: Vec<Need>,
    pub within: Option<String>,
    pub steps: Option<Steps>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Steps {
    pub of: String,
    pub set: BTreeMap<String, String>,
}

/// One text, or several in an order of preference.
#[derive(Deserialize)]
#[serde(untagged)]
pub enum Preferred {
    One(String),
    Several(Vec<String>),
}

impl Preferred {
    pub fn texts(&self) -> &[String] {
        match self {
            Self::One(text) => std::slice::from_ref(text),
            Self::Several(texts) => texts,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    pub field: String,
    #[serde(rename = "where")]
    pub conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Joint {
    pub makes: String,
    pub halves: BTreeMap<String, Half>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Half {
    pub message: String,
    pub key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    pub root: Option<String>,
    pub joint: Option<String>,
    #[serde(default)]
    pub by: BTreeMap<String, String>,
    pub identity: Option<Identity>,
    #[serde(default)]
    pub members: BTreeMap<String, Member>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Same {
    pub from: String,
    pub message: String,
    pub record: Vec<String>,
    pub survivor: Vec<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
pub enum Member {
    Field(String),
    Either(Either),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Either {
    pub field: String,
    pub or: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    pub field: String,
    pub prefix: String,
    #[serde(default)]
    pub own: bool,
    #[serde(default)]
    pub each: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Indicator {
    pub id: String,
    pub name_zh: String,
    pub name_en: String,
    pub unit: String,
    pub kind: Kind,
    pub subject: String,
    pub from: String,
    #[serde(default, rename = "where")]
    pub conditions: Vec<Condition>,
    #[serde(default, rename = "if")]
    pub counts_if: Vec<Condition>,
    #[serde(default)]
    pub or: Vec<Source>,
    pub highest: Option<String>,
    #[serde(default, rename = "while")]
    pub alongside: Vec<Alongside>,
    pub weight: Option<String>,
    pub on: Option<String>,
    #[serde(default)]
    pub once: Vec<String>,
    pub placed_by: Option<Preferred>,
    #[serde(default)]
    pub at: Vec<String>,
    #[serde(default)]
    pub dimensions: BTreeMap<String, Preferred>,
    #[serde(default)]
    pub apart: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    pub from: String,
    #[serde(default, rename = "where")]
    pub conditions: Vec<Condition>,
    #[serde(default, rename = "if")]
    pub counts_if: Vec<Condition>,
    #[serde(default)]
    pub undated: bool,
    #[serde(default)]
    pub dimensions: BTreeMap<String, Preferred>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Stock,
    Flow,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    pub id: String,
    pub name_zh: String,
    pub name_en: String,
    pub stock: String,
    pub digits: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alongside {
    pub from: String,
    #[serde(default, rename = "where")]
    pub conditions: Vec<Condition>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    pub field: String,
    #[serde(rename = "in")]
    pub one_of: Option<Vec<String>>,
    pub under: Option<String>,
    pub at_least: Option<u32>,
    #[serde(default)]
    pub present: bool,
    #[serde(default)]
    pub or_absent: bool,
    pub or_present: Option<String>,
}
