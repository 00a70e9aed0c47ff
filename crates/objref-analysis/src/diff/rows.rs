//! Rows with a number for each dump: which are listed, and in which order.

use std::cmp::Reverse;

use crate::{Amount, Change, DiffRow, DiffTable, Fates, Metric};

/// Whether a row is listed: of two dumps, what has changed, or of which something was replaced; of more, what has
/// grown in every step.
pub(super) fn is_listed(values: &[u64], replaced: bool) -> bool {
    match values {
        [before, after] => before != after || replaced,
        _ => values.windows(2).all(|step| step[0] < step[1]),
    }
}

/// The value by a measure.
pub(super) fn by(metric: Metric, amount: Amount) -> u64 {
    match metric {
        Metric::Bytes => amount.bytes,
        Metric::Objects => amount.objects,
    }
}

/// The table of rows that have their names, amounts and fates.
pub(super) fn table(rows: Vec<DiffRow>, metric: Metric, limit: Option<usize>) -> DiffTable {
    let mut table = DiffTable::default();
    for mut row in rows {
        let (first, last) = (row.amounts[0], row.amounts[row.amounts.len() - 1]);
        row.growth = Change::between(first, last);
        let values: Vec<u64> = row.amounts.iter().map(|a| by(metric, *a)).collect();
        let other_measure = row.amounts.len() == 2 && row.growth != Change::default();
        if is_listed(&values, other_measure || churn(&row) > 0) {
            table.rows.push(row);
        } else {
            table.not_listed += 1;
            add(&mut table.not_listed_growth, row.growth);
        }
    }
    table.rows.sort_by_cached_key(|row| {
        let Change { bytes, objects } = row.growth;
        let (bytes, objects) = (bytes.unsigned_abs(), objects.unsigned_abs());
        let size = match metric {
            Metric::Bytes => (bytes, objects),
            Metric::Objects => (objects, bytes),
        };
        (Reverse((size, churn(row))), row.path.clone())
    });
    let shown = limit.unwrap_or(usize::MAX).min(table.rows.len());
    let rest = table.rows.split_off(shown);
    table.left_out = rest.len() as u64;
    rest.iter()
        .for_each(|row| add(&mut table.left_out_growth, row.growth));
    table
}

/// Objects that came and went.
fn churn(row: &DiffRow) -> u64 {
    row.fates.map_or(0, |fates| {
        let Fates { new, freed, .. } = fates;
        new.objects + freed.objects + fates.moved_away.objects + fates.moved_here.objects
    })
}

fn add(to: &mut Change, change: Change) {
    to.bytes = to.bytes.saturating_add(change.bytes);
    to.objects = to.objects.saturating_add(change.objects);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, bytes: &[u64]) -> DiffRow {
        DiffRow {
            path: vec![name.to_owned()],
            amounts: bytes
                .iter()
                .map(|&bytes| Amount { bytes, objects: 1 })
                .collect(),
            ..DiffRow::default()
        }
    }

    fn names(table: &DiffTable) -> Vec<&str> {
        table.rows.iter().map(|row| row.path[0].as_str()).collect()
    }

    #[test]
    fn the_greatest_change_comes_first_whichever_way() {
        let rows = || {
            vec![
                row("same", &[9, 9]),
                row("b up", &[10, 20]),
                row("a down", &[20, 10]),
                row("gone", &[90, 0]),
            ]
        };
        let table_of = |limit| table(rows(), Metric::Bytes, limit);
        let all = table_of(None);
        assert_eq!(names(&all), ["gone", "a down", "b up"]);
        assert_eq!((all.not_listed, all.left_out), (1, 0));
        let two = table_of(Some(2));
        assert_eq!(names(&two), ["gone", "a down"]);
        assert_eq!((two.left_out, two.left_out_growth.bytes), (1, 10));
    }

    #[test]
    fn of_three_dumps_what_grows_all_the_time() {
        let rows = vec![
            row("leak", &[10, 20, 30]),
            row("wave", &[10, 30, 20]),
            row("stairs", &[10, 20, 20]),
            row("shrinks", &[30, 20, 10]),
        ];
        let table = table(rows, Metric::Bytes, None);
        assert_eq!(names(&table), ["leak"]);
        assert_eq!(table.not_listed, 3);
        assert_eq!(table.not_listed_growth.bytes, 10 + 10 - 20);
    }

    #[test]
    fn objects_that_came_and_went_are_a_change() {
        let one = Amount {
            bytes: 8,
            objects: 1,
        };
        let mut replaced = row("cache", &[8, 8]);
        replaced.fates = Some(Fates {
            new: one,
            freed: one,
            ..Fates::default()
        });
        assert_eq!(
            names(&table(vec![replaced], Metric::Bytes, None)),
            ["cache"]
        );
    }
}
