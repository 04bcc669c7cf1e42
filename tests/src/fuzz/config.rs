//! Configurations as operators write them: taken whole or refused by name, and a password in the database's address is repeated nowhere.

use qianshou_kernel::{
    config::{Config, DEFAULT_TOML, Loaded},
    error::{Error, Result},
};
use tempfile::TempDir;

use super::{
    Lawful, Mutation, Target,
    chance::Chance,
    matter, must,
    script::{Script, put_part},
};

/// A password that stands nowhere else.
const SECRET: &str = "s3cr3t-Qz9";
const URL: &str = "postgres://qianshou:s3cr3t-Qz9@db.example:5432/node?sslmode=require&password=s3cr3t-Qz9";

/// An input is a `node.toml`, and names and values of the environment until its end.
struct Configs {
    folder: TempDir,
    keys: Vec<(String, Vec<String>)>,
    mutation: Option<Mutation>,
}

/// Makes the target ready.
pub(super) fn open(mutation: Option<Mutation>) -> Box<dyn Target> {
    let defaults: toml::Table = DEFAULT_TOML.parse().expect("the defaults are TOML");
    let keys = defaults
        .iter()
        .filter_map(|(section, keys)| Some((section.clone(), keys.as_table()?.keys().cloned().collect())));
    Box::new(Configs { folder: tempfile::tempdir().expect("a folder"), keys: keys.collect(), mutation })
}

impl Target for Configs {
    fn make(&self, chance: &mut Chance) -> Vec<u8> {
        let mut file = "[node]\ncode = \"64\"\n[database]\n".to_owned();
        file += &format!("url = \"{URL}\"\n");
        if chance.percent(20) {
            file = DEFAULT_TOML.to_owned();
        }
        for _ in 0..chance.below(5) {
            let (section, keys) = chance.one(&self.keys);
            let key = if keys.is_empty() { "x" } else { chance.one(keys).as_str() };
            file += &format!("[{section}]\n{key} = {}\n", value(chance));
        }
        let mut file = file.into_bytes();
        if chance.percent(40) {
            chance.mutate(&mut file, &[DEFAULT_TOML.as_bytes().to_vec()]);
        }
        let mut input = vec![];
        put_part(&mut input, &file);
        for _ in 0..chance.below(3) {
            let (section, keys) = chance.one(&self.keys);
            let key = if keys.is_empty() { "x" } else { chance.one(keys).as_str() };
            put_part(&mut input, format!("{section}__{key}").to_uppercase().as_bytes());
            let text = if chance.percent(20) { URL.to_owned() } else { matter::text(chance) };
            put_part(&mut input, text.as_bytes());
        }
        input
    }

    fn check(&mut self, input: &[u8]) -> Lawful {
        let mut script = Script::new(input);
        let file = script.part();
        let mut environment = vec![];
        while !script.is_over() && environment.len() < 8 {
            environment.push((format!("QIANSHOU__{}", script.text()), script.text()));
        }
        let path = self.folder.path().join("node.toml");
        if std::fs::write(&path, file).is_err() {
            return Ok(());
        }
        let loaded = Config::load_with(&path, environment.iter().cloned());
        self.looks(&loaded, file, &environment)
    }
}

fn value(chance: &mut Chance) -> String {
    match chance.below(8) {
        0 => chance.number().to_string(),
        1 => format!("-{}", chance.below(10)),
        2 => format!("[{:?}, {:?}]", matter::text(chance), matter::text(chance)),
        3 => "true".to_owned(),
        4 => format!("{}1{}", "[".repeat(chance.below(200)), "]".repeat(chance.below(200))),
        5 => {
            format!("{{ {} = {{ timeout_ms = {} }} }}", chance.one(&["GetHead", "\"BatchPut*\"", "x"]), chance.below(3))
        }
        6 => "1e309".to_owned(),
        _ => format!("{:?}", matter::text(chance)),
    }
}

impl Configs {
    fn looks(&self, loaded: &Result<Loaded>, file: &[u8], environment: &[(String, String)]) -> Lawful {
        let mut told = match loaded {
            Ok(loaded) => {
                let node = &loaded.config.node.code;
                must(
                    (2..=12).contains(&node.len()) && node.bytes().all(|b| b.is_ascii_digit()),
                    "a-node-has-a-code",
                    || node.clone(),
                )?;
                let limits = &loaded.config.limits;
                must(limits.text_max_chars > 0 && limits.batch_max_records > 0, "limits-are-positive", String::new)?;
                format!("{:?} {:?}", loaded.origins, loaded.config.database)
            }
            Err(error) => {
                must(matches!(error, Error::Refused(refusal) if !refusal.0.is_empty()), "refused-by-name", || {
                    format!("{error:?}")
                })?;
                format!("{error} {error:?}")
            }
        };
        if self.mutation == Some(Mutation::TellSecret) {
            told += &String::from_utf8_lossy(file);
        }
        // Only where it stands as it should: nobody knows that a broken address holds a password.
        let text = String::from_utf8_lossy(file);
        let sound = |text: &str| text.matches(SECRET).count() == 2 * text.matches(URL).count();
        let named = |name: &str| name.to_ascii_lowercase().contains(&SECRET.to_ascii_lowercase());
        let in_place = sound(&text) && environment.iter().all(|(name, value)| sound(value) && !named(name));
        must(!in_place || !told.contains(SECRET), "a-password-is-repeated-nowhere", || told.clone())
    }
}
