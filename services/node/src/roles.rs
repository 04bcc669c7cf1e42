//! Which houses this process serves. All of them in one process, or each in its own on the node's PostgreSQL, two of any if
//! need be; calls for the others go to the neighbours.

use std::collections::BTreeSet;

use qianshou_kernel::{
    config::Neighbours,
    db::{Db, Hold},
    error::{Error, Reason, Refusal, Result, Violation},
    server::Away,
};
use qianshou_proto::{
    exchange::v1::exchange_admin_service_server::SERVICE_NAME as EXCHANGE_ADMIN,
    pairing::v1::pairing_service_server::SERVICE_NAME as PAIRING,
    registry::v1::registry_service_server::SERVICE_NAME as REGISTRY,
    reporting::v1::reporting_service_server::SERVICE_NAME as REPORTING,
};
use tonic::service::Routes;

/// A house, as `--role` calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum House {
    Registry,
    Pairing,
    Exchange,
    Reporting,
}

impl House {
    const ALL: [Self; 4] = [Self::Registry, Self::Pairing, Self::Exchange, Self::Reporting];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Pairing => "pairing",
            Self::Exchange => "exchange",
            Self::Reporting => "reporting",
        }
    }

    /// The service that people call.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Registry => REGISTRY,
            Self::Pairing => PAIRING,
            Self::Exchange => EXCHANGE_ADMIN,
            Self::Reporting => REPORTING,
        }
    }

    fn addresses(self, neighbours: &Neighbours) -> &[String] {
        match self {
            Self::Registry => &neighbours.registry,
            Self::Pairing => &neighbours.pairing,
            Self::Exchange => &neighbours.exchange,
            Self::Reporting => &neighbours.reporting,
        }
    }
}

/// The houses of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Roles(BTreeSet<House>);

impl Roles {
    /// Reads names of houses; none: all of them.
    pub(crate) fn parse(names: &[String]) -> Result<Self> {
        let known = House::ALL.map(House::as_str).join(", ");
        let house = |name: &String| {
            let found = House::ALL.into_iter().find(|house| house.as_str() == name.trim());
            found.ok_or_else(|| Error::refused("roles.serve (--role)", Reason::NotInList, &known))
        };
        let houses = names.iter().map(house).collect::<Result<BTreeSet<_>>>()?;
        Ok(Self(if houses.is_empty() { House::ALL.into() } else { houses }))
    }

    pub(crate) fn has(&self, house: House) -> bool {
        self.0.contains(&house)
    }

    pub(crate) fn here(&self) -> impl Iterator<Item = House> {
        self.0.iter().copied()
    }

    /// The houses that other processes serve.
    pub(crate) fn away(&self) -> impl Iterator<Item = House> {
        House::ALL.into_iter().filter(|house| !self.has(*house))
    }

    /// Routes that also take the calls of the houses that are not here, and pass them on to the neighbours.
    pub(crate) fn gateway(&self, mut routes: Routes, neighbours: &Neighbours, ca_pem: &[u8]) -> Result<Routes> {
        for house in House::ALL.into_iter().filter(|house| !self.has(*house)) {
            let away = Away::new(house.as_str(), house.addresses(neighbours), ca_pem)?;
            routes = away.add_to(routes, house.service());
        }
        Ok(routes)
    }

    /// Makes sure that nobody else serves from a SQLite file, under whatever name, as long as the answer is kept; on PostgreSQL there
    /// is nothing to make sure of.
    pub(crate) fn alone(&self, db: &Db) -> Result<Option<Hold>> {
        if db.is_shared() {
            return Ok(None);
        }
        if self.0.len() < House::ALL.len() {
            return Err(one_process(
                "roles.serve (--role)",
                "SQLite 数据库只能由一个进程服务，不能分角色运行；请去掉 --role，或改用 PostgreSQL（[database] url）",
                "a SQLite database is served by one process, so its houses cannot be apart; leave --role away, or take \
                 PostgreSQL ([database] url)",
            ));
        }
        let taken = || {
            one_process(
                "database.url",
                "另一个进程正在服务这个 SQLite 数据库；两个进程各有各的写入者与通知，彼此看不见。请先停止那个进程，或改用 PostgreSQL",
                "another process serves this SQLite database; two would each have a writer and a bell of its own and not hear \
                 each other. Stop that process first, or take PostgreSQL",
            )
        };
        db.hold()?.map(Some).ok_or_else(taken)
    }
}

fn one_process(field: &str, zh: &str, en: &str) -> Error {
    let (field, zh, en) = (field.to_owned(), zh.to_owned(), en.to_owned());
    Refusal(vec![Violation { field, reason: Reason::Busy, zh, en }]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_houses() {
        let parse = |names: &[&str]| Roles::parse(&names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>());
        assert_eq!(parse(&[]).unwrap(), parse(&["reporting", " registry", "exchange", "pairing", "registry"]).unwrap());
        let one = parse(&["reporting"]).unwrap();
        assert!(one.has(House::Reporting) && !one.has(House::Registry));
        assert_eq!(parse(&["console"]).unwrap_err().reason(), Reason::NotInList);
    }

    #[tokio::test]
    async fn a_sqlite_file_is_served_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Db::create("sqlite:a.db", folder.path(), 1, 1);
        let (one, other) = (open().await.unwrap(), open().await.unwrap());
        let (all, some) = (Roles::parse(&[]).unwrap(), Roles::parse(&["registry".into()]).unwrap());
        let first = all.alone(&one).unwrap();
        assert!(first.is_some());
        for refused in [all.alone(&other), some.alone(&other)] {
            assert_eq!(refused.unwrap_err().reason(), Reason::Busy);
        }
        drop(first);
        assert!(all.alone(&other).unwrap().is_some());
    }
}
