//! Configuration in three layers: the embedded `default.toml`, the node's `node.toml`, the environment. Every value knows
//! where it came from; a value that does not fit is refused by name, with the layer that said it and the next step.
//!
//! Never holds a secret beside the one a database's URL needs, and never shows that one. Nothing else reads the environment.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use toml::{Table, Value};

use crate::{
    erasure::journal::Journal,
    error::{Error, Reason, Refusal, Result, Violation},
    files::open_to_others,
    id::is_node,
};

/// The first layer: every key, commented.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// What the names of our variables begin with, and what parts section from key.
const ENVIRONMENT_PREFIX: &str = "QIANSHOU__";

/// The whole configuration; the meaning of each key stands beside it in [`DEFAULT_TOML`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub node: Node,
    pub database: Database,
    pub api: Api,
    pub peers: Peers,
    pub roles: Roles,
    pub neighbours: Neighbours,
    pub keys: Keys,
    pub ledger: Ledger,
    pub limits: Limits,
    pub tokens: Tokens,
    pub security: Security,
    pub exchange: Exchange,
    pub pairing: Pairing,
    pub divisions: Divisions,
    pub log: Log,
    pub telemetry: Telemetry,
    pub audit: Audit,
}

/// Whose node this is.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    pub code: String,
    pub name: String,
}

/// The node's one database.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite:FILE`, relative to the folder, or `postgres://…`.
    pub url: String,
    /// Empty: the URL has the password, or needs none.
    pub password_file: PathBuf,
    pub sqlite_readers: u32,
    pub postgres_connections: u32,
    pub probe_ms: u64,
}

/// The listener for people.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Api {
    pub listen: SocketAddr,
    pub names: Vec<String>,
    /// Sites whose pages may call by gRPC-Web.
    pub allowed_origins: Vec<String>,
}

/// The listener for other nodes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peers {
    pub listen: SocketAddr,
    /// Empty: derived from the bound port.
    pub address: String,
}

/// The houses of this process.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Roles {
    /// Empty: all.
    pub serve: Vec<String>,
}

/// The node's other processes, by house: `https://host:port`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Neighbours {
    pub registry: Vec<String>,
    pub pairing: Vec<String>,
    pub exchange: Vec<String>,
    pub reporting: Vec<String>,
}

/// Where the node's keys are.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// As written; [`Loaded::keys_directory`] is the one to open.
    pub directory: PathBuf,
    /// Empty: with the other keys. [`Loaded::seal_directory`] is the one to open.
    pub seal_directory: PathBuf,
}

/// The writer and those that follow it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    pub group_max_commands: usize,
    pub group_max_records: usize,
    pub queue_max_commands: usize,
    pub poll_ms: u64,
    pub wait_max_ms: u64,
    pub request_keep_days: u32,
    pub verify_every_ms: u64,
    pub verify_entries: u32,
    /// As written; it stands relative to the node's folder.
    pub erasures: PathBuf,
}

/// What one caller may ask for.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    pub message_max_bytes: usize,
    pub text_max_chars: usize,
    pub query_max_chars: usize,
    pub lookup_misses_per_minute: usize,
    pub record_max_bytes: usize,
    pub batch_max_records: usize,
    pub list_page_records: usize,
    pub list_page_max_records: usize,
    pub connections_max: u32,
    pub connections_max_per_address: u32,
    pub streams_max_per_connection: u32,
    pub handshake_timeout_ms: u64,
    pub upload_min_bytes_per_s: u64,
    pub upload_grace_ms: u64,
    pub request_timeout_ms: u64,
    pub drain_timeout_ms: u64,
    pub keepalive_interval_ms: u64,
    pub keepalive_timeout_ms: u64,
    pub token_cache_ms: u64,
    pub token_cache_max_tokens: usize,
    pub wrong_tokens_free: u32,
    pub wrong_token_delay_max_ms: u64,
    pub wrong_token_addresses_max: usize,
    /// By the method's name, or a `Prefix*` of several.
    pub methods: BTreeMap<String, MethodLimits>,
}

/// What one method may take; what is absent is as for all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodLimits {
    /// Until its answer begins.
    pub timeout_ms: Option<u64>,
    /// One message of its request, as it is sent.
    pub message_max_bytes: Option<usize>,
    /// Calls at once, unread answers among them; beyond it callers hear `BUSY`.
    pub concurrency_max: Option<u32>,
    /// The same of one caller.
    pub concurrency_max_per_caller: Option<u32>,
}

/// How long tokens live.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    pub life_days: u32,
    pub life_max_days: u32,
}

/// Who has to agree to what opens a door.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Security {
    pub four_eyes: bool,
    pub four_eyes_days: u32,
}

/// How streams are carried.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    pub page_max_entries: usize,
    pub page_max_bytes: usize,
    pub window_pages: u32,
    pub backoff_min_ms: u64,
    pub backoff_max_ms: u64,
    pub heartbeat_ms: u64,
}

/// What is found wrong with halves.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pairing {
    pub payment_on_its_way_days: u32,
}

/// The embedded list of divisions.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Divisions {
    pub bootstrap_areas: Vec<String>,
}

/// What is written to standard error.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub filter: String,
    pub format: LogFormat,
}

/// Traces and metrics, and who reads them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Telemetry {
    /// Empty: no traces, and no metrics by this way.
    pub otlp_endpoint: String,
    pub export_interval_ms: u64,
    pub sample_ratio: f64,
    /// Empty: no page.
    pub prometheus_listen: String,
    /// Empty: the node's code.
    pub instance: String,
}

/// Who did what, and how long it is kept.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    pub keep_days: u32,
    pub usage_keep_days: u32,
    pub batch_ms: u64,
}

/// What the law asks for at least: network logs six months, records of how personal data was used three years.
const KEEP_DAYS_LEAST: u32 = 184;
const USAGE_KEEP_DAYS_LEAST: u32 = 1_095;

/// Lines for eyes or for machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Text,
    Json,
}

/// Which layer a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    /// The variable's name.
    Environment(String),
}

/// A configuration and the history of each of its values.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub config: Config,
    /// `section.key` → the value as it may be shown, and its layer.
    pub origins: BTreeMap<String, (String, Origin)>,
    /// DIR: where `node.toml` stands and what relative paths are relative to. Absolute.
    pub directory: PathBuf,
}

/// The duration of a limit in milliseconds.
#[must_use]
pub const fn ms(limit: u64) -> Duration {
    Duration::from_millis(limit)
}

impl Config {
    /// Reads the three layers.
    ///
    /// # Errors
    /// A refusal that names the layer, the key and the next step.
    pub fn load(path: &Path) -> Result<Loaded> {
        Self::load_with(
            path,
            std::env::vars_os().filter_map(|(name, value)| name.into_string().ok().zip(value.into_string().ok())),
        )
    }

    /// The defaults alone, for tests and for nodes that live in memory.
    ///
    /// # Errors
    /// None in a sound build: a test reads the defaults.
    pub fn defaults() -> Result<Self> {
        Ok(Layers::default_layer()?.config)
    }

    /// [`Config::load`] with another environment.
    ///
    /// # Errors
    /// As there.
    pub fn load_with(path: &Path, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded> {
        let path = std::path::absolute(path)?;
        let mut layers = Layers::default_layer()?;
        layers.add_file(&path)?;
        let mut variables: Vec<_> = environment.filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX)).collect();
        variables.sort();
        for (name, text) in variables {
            layers.add_variable(name, text)?;
        }
        layers.settle(&path)
    }
}

impl Loaded {
    /// The folder of the node's keys, absolute.
    #[must_use]
    pub fn keys_directory(&self) -> PathBuf {
        self.directory.join(&self.config.keys.directory)
    }

    /// The journal of erasures.
    #[must_use]
    pub fn journal(&self) -> Journal {
        Journal::at(self.directory.join(&self.config.ledger.erasures))
    }

    /// The folder of the key that seals identity numbers, absolute.
    #[must_use]
    pub fn seal_directory(&self) -> PathBuf {
        let apart = &self.config.keys.seal_directory;
        if apart.as_os_str().is_empty() { self.keys_directory() } else { self.directory.join(apart) }
    }

    /// The database's address, with the password of its file if there is one. Not for showing.
    ///
    /// # Errors
    /// A refusal if the file cannot be read, can be read by others, or if the address is no server's.
    pub fn database_url(&self) -> Result<String> {
        let Database { url, password_file, .. } = &self.config.database;
        if password_file.as_os_str().is_empty() {
            return Ok(url.clone());
        }
        let file = self.directory.join(password_file);
        let shown = file.display();
        let text = std::fs::read_to_string(&file).map_err(|cause| {
            let (zh, en) = (format!("{shown}：无法读取（{cause}）"), format!("{shown}: cannot be read ({cause})"));
            refusal(Reason::NotFound, "database.password_file", &zh, &en)
        })?;
        if open_to_others(&file).is_some() {
            let (zh, en) = (
                format!("{shown} 可被他人读取；请执行 chmod 600 {shown}"),
                format!("{shown} can be read by others; chmod 600 {shown}"),
            );
            return Err(refusal(Reason::Malformed, "database.password_file", &zh, &en));
        }
        with_password(url, text.trim_end_matches(['\r', '\n'])).ok_or_else(|| {
            let (zh, en) = (
                "database.url 应为 postgres://用户@主机/数据库（不含口令）",
                "database.url has to be postgres://user@host/database, without a password",
            );
            refusal(Reason::Malformed, "database.url", zh, en)
        })
    }

    /// SHA-256 of every setting as it may be shown, in hexadecimal: the same settings, the same digest.
    #[must_use]
    pub fn digest(&self) -> String {
        let shown = self.origins.iter().map(|(path, (value, _))| format!("{path} = {value}\n"));
        hex::encode(Sha256::digest(shown.collect::<String>()))
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("url", &masked(&self.url)).finish_non_exhaustive()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => f.write_str(name),
        }
    }
}

/// The layers so far: always a whole, valid configuration, so the value that breaks it is the one just added.
struct Layers {
    table: Table,
    config: Config,
    origins: BTreeMap<String, Origin>,
}

impl Layers {
    fn default_layer() -> Result<Self> {
        let table: Table = DEFAULT_TOML.parse().map_err(|cause| Error::broken(format!("default.toml: {cause}")))?;
        let config =
            Config::deserialize(table.clone()).map_err(|cause| Error::broken(format!("default.toml: {cause}")))?;
        let keys = table.iter().flat_map(|(section, keys)| {
            keys.as_table()
                .into_iter()
                .flat_map(Table::keys)
                .map(move |key| (format!("{section}.{key}"), Origin::Default))
        });
        let origins = keys.collect();
        Ok(Self { table, config, origins })
    }

    fn add_file(&mut self, path: &Path) -> Result<()> {
        let origin = Origin::File(path.to_owned());
        let text = std::fs::read_to_string(path).map_err(|cause| {
            refusal(
                Reason::NotFound,
                "",
                &format!("{origin}：无法读取（{cause}）；新节点请先执行 qianshou init"),
                &format!(
                    "{origin}: cannot be read ({cause}); a new node begins with `qianshou init DIR --province CODE`"
                ),
            )
        })?;
        let table: Table = text.parse().map_err(|cause: toml::de::Error| {
            let line = cause.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            at_line(malformed(&origin, "", cause.message()), line)
        })?;
        for (section, keys) in table {
            let Value::Table(keys) = keys else {
                return Err(at_line(unknown(&origin, &section), line_of(&text, "", &section)));
            };
            for (key, value) in keys {
                let added = self.add(&section, &key, value, origin.clone());
                added.map_err(|error| at_line(error, line_of(&text, &section, &key)))?;
            }
        }
        Ok(())
    }

    fn add_variable(&mut self, name: String, text: String) -> Result<()> {
        let path = name[ENVIRONMENT_PREFIX.len()..].to_ascii_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            return Err(unknown(&Origin::Environment(name), &path));
        };
        let value = shaped_like(self.table.get(section).and_then(|keys| keys.get(key)), text);
        self.add(section, key, value, Origin::Environment(name))
    }

    fn add(&mut self, section: &str, key: &str, value: Value, origin: Origin) -> Result<()> {
        let path = format!("{section}.{key}");
        if !self.origins.contains_key(&path) {
            return Err(unknown(&origin, &path));
        }
        if !is_positive(&value) {
            return Err(malformed(&origin, &path, "a number of at least 1"));
        }
        if let Some(Value::Table(keys)) = self.table.get_mut(section) {
            match (keys.get_mut(key), value) {
                // A table's entries stand beside those of the layer below.
                (Some(Value::Table(held)), Value::Table(more)) => held.extend(more),
                (_, value) => drop(keys.insert(key.to_owned(), value)),
            }
        }
        self.config =
            Config::deserialize(self.table.clone()).map_err(|cause| malformed(&origin, &path, cause.message()))?;
        self.origins.insert(path, origin);
        Ok(())
    }

    /// What no single value shows.
    fn settle(self, path: &Path) -> Result<Loaded> {
        let Self { table, config, origins } = self;
        if !is_node(&config.node.code) {
            let origin = origins.get("node.code").cloned().unwrap_or(Origin::Default);
            return Err(malformed(&origin, "node.code", "an administrative code of two to twelve digits, such as 64"));
        }
        for (path, days, least) in [
            ("audit.keep_days", config.audit.keep_days, KEEP_DAYS_LEAST),
            ("audit.usage_keep_days", config.audit.usage_keep_days, USAGE_KEEP_DAYS_LEAST),
        ] {
            if days < least {
                let origin = origins.get(path).cloned().unwrap_or(Origin::Default);
                return Err(malformed(&origin, path, &format!("at least {least} days, as the law asks for")));
            }
        }
        let origins = origins.into_iter().map(|(path, origin)| {
            let value = path.split_once('.').and_then(|(section, key)| table.get(section)?.get(key));
            (path, (value.map(shown).unwrap_or_default(), origin))
        });
        let directory = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Loaded { config, origins: origins.collect(), directory })
    }
}

/// A variable's text as the type the default has; what does not read stays text and is refused as such.
fn shaped_like(default: Option<&Value>, text: String) -> Value {
    match default {
        Some(Value::Integer(_)) => text.parse().map_or(Value::String(text), Value::Integer),
        Some(Value::Float(_)) => text.parse().map_or(Value::String(text), Value::Float),
        Some(Value::Boolean(_)) => text.parse().map_or(Value::String(text), Value::Boolean),
        Some(Value::Array(_)) => {
            let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
            Value::Array(parts.map(|part| Value::String(part.to_owned())).collect())
        }
        _ => Value::String(text),
    }
}

fn is_positive(value: &Value) -> bool {
    match value {
        Value::Integer(number) => *number >= 1,
        Value::Table(entries) => entries.values().all(is_positive),
        _ => true,
    }
}

/// A value as it may be shown.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => masked(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(yes) => yes.to_string(),
        Value::Array(parts) => parts.iter().map(shown).collect::<Vec<_>>().join(", "),
        Value::Table(entries) => {
            let entry = |(key, value): (&String, &Value)| format!("{key} = {{ {} }}", shown(value));
            let plain = |(key, value): (&String, &Value)| format!("{key} = {}", shown(value));
            let nested = entries.values().any(Value::is_table);
            let parts: Vec<_> = entries.iter().map(|one| if nested { entry(one) } else { plain(one) }).collect();
            parts.join(", ")
        }
        other => format!("{other:?}"),
    }
}

/// A text without the password of a URL, in its authority or among its options.
fn masked(text: &str) -> String {
    let Some((scheme, rest)) = text.split_once("://") else {
        return text.to_owned();
    };
    let (before, options) = rest.split_once('?').map_or((rest, None), |(before, options)| (before, Some(options)));
    let before = match before.rsplit_once('@') {
        Some((user, host)) => {
            format!("{}@{host}", user.split_once(':').map_or(user.to_owned(), |(user, _)| format!("{user}:***")))
        }
        None => before.to_owned(),
    };
    let mask = |option: &str| match option.split_once('=') {
        Some((key, _)) if key.contains("password") => format!("{key}=***"),
        _ => option.to_owned(),
    };
    let options = options.map(|o| format!("?{}", o.split('&').map(mask).collect::<Vec<_>>().join("&")));
    format!("{scheme}://{before}{}", options.unwrap_or_default())
}

/// A server's address with this password; `None`: it is none, names no user or has a password already.
fn with_password(url: &str, password: &str) -> Option<String> {
    let (scheme, rest) = url.split_once("://").filter(|(scheme, _)| scheme.starts_with("postgres"))?;
    let (user, host) = rest.split_once('@').filter(|(user, _)| !user.is_empty() && !user.contains([':', '/']))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = password.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") });
    Some(format!("{scheme}://{user}:{}@{host}", escaped.collect::<String>()))
}

fn refusal(reason: Reason, field: &str, zh: &str, en: &str) -> Error {
    Error::Refused(Refusal(vec![Violation { field: field.into(), reason, zh: zh.into(), en: en.into() }]))
}

/// The line, from 1, on which a section's key stands.
fn line_of(text: &str, section: &str, key: &str) -> Option<usize> {
    let mut inside = section.is_empty();
    for (number, line) in text.lines().enumerate().map(|(before, line)| (before + 1, line.trim())) {
        if let Some(head) = line.strip_prefix('[') {
            let head = head.split(']').next().unwrap_or_default().trim();
            if head == format!("{section}.{key}") {
                return Some(number);
            }
            inside = head == section;
        } else if inside && line.split('=').next().is_some_and(|name| name.trim().trim_matches('"') == key) {
            return Some(number);
        }
    }
    None
}

/// The same refusal, with the line that it is about.
fn at_line(error: Error, line: Option<usize>) -> Error {
    let mut error = error;
    if let (Error::Refused(refusal), Some(line)) = (&mut error, line) {
        for violation in &mut refusal.0 {
            violation.zh = format!("第 {line} 行，{}", violation.zh);
            violation.en = format!("line {line}, {}", violation.en);
        }
    }
    error
}

fn unknown(origin: &Origin, path: &str) -> Error {
    let zh = format!("{origin}：{path}：没有这个配置项；请删除或改正，全部配置项见 qianshou config show");
    let en =
        format!("{origin}: {path}: there is no such key; remove or correct it, `qianshou config show` lists them all");
    refusal(Reason::UnknownField, path, &zh, &en)
}

/// A cause without the value that it quotes, where that may be a server's address in the wrong place, with its password.
fn without_address(cause: &str) -> String {
    match cause.find(['"', '`']).filter(|_| cause.contains("://")) {
        Some(first) => {
            let expected = cause.rfind(", expected ").filter(|at| *at > first);
            format!("{}\"…\"{}", &cause[..first], expected.map(|at| &cause[at..]).unwrap_or_default())
        }
        None => cause.to_owned(),
    }
}

fn malformed(origin: &Origin, path: &str, cause: &str) -> Error {
    let at = if path.is_empty() { String::new() } else { format!("{path}: ") };
    let cause = &without_address(cause);
    let zh = format!("{origin}：{at}值不合要求（{}）；请改正，或删除以使用默认值", cause.trim_end());
    let en = format!("{origin}: {at}{}; correct it, or remove it for the default", cause.trim_end());
    refusal(Reason::Malformed, path, &zh, &en)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Loaded> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.toml");
        std::fs::write(&path, file).unwrap();
        Config::load_with(&path, environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
    }

    fn refused(file: &str, environment: &[(&str, &str)]) -> Refusal {
        match load(file, environment) {
            Err(Error::Refused(refusal)) => refusal,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_password_of_a_file_is_in_the_address_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let (path, secret) = (folder.path().join("node.toml"), folder.path().join("secret"));
        let text = "[node]\ncode = \"64\"\n[database]\nurl = \"postgres://q@db/x\"\npassword_file = \"secret\"\n";
        std::fs::write(&path, text).unwrap();
        let load = || Config::load_with(&path, std::iter::empty()).unwrap();
        assert_eq!(load().database_url().unwrap_err().reason(), Reason::NotFound);
        crate::files::private_file(&secret, "a:b@c/ä\n".as_bytes()).unwrap();
        assert_eq!(load().database_url().unwrap(), "postgres://q:a%3Ab%40c%2F%C3%A4@db/x");
        let shown = format!("{:?}", load());
        assert!(shown.contains("secret") && !shown.contains("a:b") && !shown.contains("%3A"), "{shown}");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o640);
        std::fs::set_permissions(&secret, mode).unwrap();
        assert!(load().database_url().unwrap_err().to_string().contains("chmod 600"));
        for url in ["postgres://db/x", "sqlite:a.db", "postgres://q:p@db/x"] {
            assert_eq!(with_password(url, "p"), None, "{url}");
        }
    }

    #[test]
    fn the_defaults_are_whole() {
        let config = Config::defaults().unwrap();
        assert_eq!((config.limits.batch_max_records, config.exchange.page_max_bytes), (10_000, 1 << 20));
        assert_eq!(config.log.format, LogFormat::Text);
    }

    #[test]
    fn each_layer_covers_the_one_below_and_is_remembered() {
        let file = "[node]\ncode = \"64\"\n[limits]\ntext_max_chars = 7\nbatch_max_records = 8\n";
        let environment = [
            ("QIANSHOU__LIMITS__BATCH_MAX_RECORDS", "9"),
            ("QIANSHOU__API__NAMES", "a.example, b.example"),
            ("QIANSHOU_TOKEN", "not ours to read"),
        ];
        let loaded = load(file, &environment).unwrap();
        assert_eq!((loaded.config.limits.text_max_chars, loaded.config.limits.batch_max_records), (7, 9));
        assert_eq!(loaded.config.api.names, ["a.example", "b.example"]);
        let origin = |path: &str| loaded.origins[path].clone();
        assert_eq!(origin("exchange.window_pages"), ("8".into(), Origin::Default));
        assert_eq!(origin("limits.text_max_chars"), ("7".into(), Origin::File(loaded.directory.join("node.toml"))));
        assert_eq!(origin("limits.batch_max_records").1, Origin::Environment(environment[0].0.into()));
        assert!(loaded.keys_directory().ends_with("keys") && loaded.keys_directory().is_absolute());
    }

    #[test]
    fn limits_of_methods_stand_beside_the_defaults() {
        let file = "[node]\ncode = \"64\"\n[limits.methods]\nGetHead = { timeout_ms = 7 }\n";
        let loaded = load(file, &[]).unwrap();
        let defaults = Config::defaults().unwrap().limits.methods;
        let methods = &loaded.config.limits.methods;
        assert_eq!((methods.len(), methods["GetHead"].timeout_ms), (defaults.len() + 1, Some(7)));
        assert_eq!(methods["BatchPut*"].timeout_ms, defaults["BatchPut*"].timeout_ms);
        assert!(loaded.origins["limits.methods"].0.contains("GetHead = { timeout_ms = 7 }"), "{:?}", loaded.origins);
        for wrong in ["{ timeout_ms = 0 }", "{ timeout = 7 }", "7"] {
            let refusal = refused(&format!("[node]\ncode = \"64\"\n[limits.methods]\nGetHead = {wrong}\n"), &[]);
            assert_eq!(refusal.0[0].field, "limits.methods", "{refusal}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let node = "[node]\ncode = \"64\"\n";
        for (file, environment, path) in [
            ("[limits]\ntext_max = 7", None, "limits.text_max"),
            ("[limit]\ntext_max_chars = 7", None, "limit.text_max_chars"),
            ("limits = 7", None, "limits"),
            ("[limits]\ntext_max_chars = \"7\"", None, "limits.text_max_chars"),
            ("[limits]\ntext_max_chars = 0", None, "limits.text_max_chars"),
            ("[log]\nformat = \"xml\"", None, "log.format"),
            ("[api]\nlisten = \"here\"", None, "api.listen"),
            ("", None, "node.code"),
            ("[node]\ncode = \"64\"\n[audit]\nkeep_days = 183", None, "audit.keep_days"),
            ("[node]\ncode = \"64\"\n[audit]\nusage_keep_days = 1094", None, "audit.usage_keep_days"),
            (node, Some(("QIANSHOU__LIMITS__TEXT_MAX_CHARS", "many")), "limits.text_max_chars"),
            (node, Some(("QIANSHOU__LIMITS__TEXT_MAX", "7")), "limits.text_max"),
            (node, Some(("QIANSHOU__LIMITS", "7")), "limits"),
        ] {
            let refusal = refused(file, environment.as_slice());
            assert_eq!(refusal.0[0].field, path, "{refusal}");
            let said_by = environment.map_or("node.toml", |(name, _)| name);
            assert!(path == "node.code" || refusal.0[0].en.contains(said_by), "{refusal}");
        }
        assert!(refused("[node", &[]).0[0].en.contains("node.toml"));
        for (file, line) in [
            ("[node]\ncode = \"64\"\n\n[limits]\ntext_max = 7", 5),
            ("[node]\ncode = \"64\"\n[log]\nformat = \"xml\"", 4),
            ("[node]\ncode = 64\"", 2),
            ("[nodes]\ncode = \"64\"", 2),
            ("[node]\ncode = \"64\"\n[limits.methods]\nGet = 7", 3),
        ] {
            let refusal = refused(file, &[]);
            assert!(refusal.0[0].en.starts_with(&format!("line {line}, ")), "{refusal}");
        }
    }

    #[test]
    fn a_password_is_never_shown() {
        let url = "postgres://qianshou:s3cr3t@db:5432/node?sslmode=require&password=s3cr3t";
        let misplaced = format!("invalid type: string \"{url}\", expected u32");
        assert_eq!(without_address(&misplaced), "invalid type: string \"…\", expected u32");
        let variant = "unknown variant `postgres://q:secret@db/x`, expected `text` or `json`";
        assert_eq!(without_address(variant), "unknown variant \"…\", expected `text` or `json`");
        let loaded = load("[node]\ncode = \"64\"", &[("QIANSHOU__DATABASE__URL", url)]).unwrap();
        assert_eq!(loaded.config.database.url, url);
        let shown = "postgres://qianshou:***@db:5432/node?sslmode=require&password=***";
        assert_eq!(loaded.origins["database.url"].0, shown);
        assert!(!format!("{loaded:?}").contains("s3cr3t"));
    }
}
