//! The tables, and how a file of an older version becomes one of this.
//!
//! Times are microseconds since 1970, functions and digests are their bytes. `user_version` counts the migrations that
//! a file has seen.

use rusqlite::Connection;

type Migration = fn(&Connection) -> rusqlite::Result<()>;

/// Each runs once, in order, in a transaction of its own. One that was released is never changed.
const MIGRATIONS: &[Migration] = &[
    |db| db.execute_batch(include_str!("schema/1.sql")),
    |db| {
        db.execute_batch(include_str!("schema/2.sql"))?;
        super::statistics::roll_up_all(db)
    },
    |db| db.execute_batch(include_str!("schema/3.sql")),
    |db| {
        db.execute_batch(include_str!("schema/4.sql"))?;
        super::sizes::begin(db)
    },
    |db| db.execute_batch(include_str!("schema/5.sql")),
];

/// The format version that this program writes.
pub(super) fn version() -> i64 {
    i64::try_from(MIGRATIONS.len()).expect("there are few migrations")
}

pub(super) fn found(db: &Connection) -> rusqlite::Result<i64> {
    db.query_row("PRAGMA user_version", [], |row| row.get(0))
}

/// Brings a file to this version. The caller has refused newer ones.
pub(super) fn migrate(db: &mut Connection) -> rusqlite::Result<()> {
    migrate_to(db, version())
}

/// Brings a file to a version.
pub(super) fn migrate_to(db: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let found = usize::try_from(found(db)?).unwrap_or(0);
    let wanted = usize::try_from(version).unwrap_or(0);
    for (index, migration) in MIGRATIONS.iter().enumerate().take(wanted).skip(found) {
        let transaction = db.transaction()?;
        migration(&transaction)?;
        transaction.pragma_update(None, "user_version", i64::try_from(index + 1).unwrap_or(i64::MAX))?;
        transaction.commit()?;
    }
    Ok(())
}
