//! Filters and order of the list of groups (`runtime-manager-features.md` §2.1): `filter[name][contains]=eu`,
//! `labels=env:prod,team`, `sort=created_at desc`.

use domain::GroupId;
use projections::{GroupFilter, GroupSort};
use uuid::Uuid;

use super::query::Query;
use super::refusal::Refusal;

/// An id that no group has: ids are random.
pub(crate) const NO_GROUP: GroupId = GroupId(Uuid::nil());

/// What the query asks for.
pub(crate) fn of(query: &Query) -> Result<(GroupFilter, GroupSort), Refusal> {
    let mut filter = GroupFilter::default();
    let mut sort = GroupSort::default();
    for (name, value) in query.iter() {
        match name {
            "labels" => filter.labels.extend(labels(value)),
            "sort" => sort = order(value)?,
            name if name.starts_with("filter[") => narrow(&mut filter, name, value)?,
            _ => {}
        }
    }
    Ok((filter, sort))
}

fn narrow(filter: &mut GroupFilter, name: &str, value: &str) -> Result<(), Refusal> {
    match name {
        "filter[id]" | "filter[id][eq]" => filter.ids = vec![id(value)],
        "filter[id][oeq]" => filter.ids = value.split(',').map(id).collect(),
        "filter[name]" | "filter[name][eq]" => filter.name_equals = Some(value.to_owned()),
        "filter[name][contains]" => filter.name_contains = Some(value.to_owned()),
        "filter[name][neq]" => filter.name_differs = Some(value.to_owned()),
        "filter[cloud_gateway]" => filter.cloud_gateway = Some(truth(name, value)?),
        "filter[deleted]" => filter.deleted = truth(name, value)?,
        "filter[cluster_type]" | "filter[cluster_type][eq]" if !is_the_cluster_type(value) => {
            filter.ids = vec![NO_GROUP];
        }
        "filter[cluster_type][neq]" if is_the_cluster_type(value) => filter.ids = vec![NO_GROUP],
        "filter[cluster_type]" | "filter[cluster_type][eq]" | "filter[cluster_type][neq]" => {}
        _ => {
            return Err(Refusal::invalid(
                name,
                "unknown_property",
                "known filters: filter[id], filter[id][oeq], filter[name], filter[name][contains], \
                 filter[name][neq], filter[cluster_type], filter[cluster_type][neq], filter[cloud_gateway], filter[deleted]",
            ));
        }
    }
    Ok(())
}

/// What isn't an id is no group's.
fn id(text: &str) -> GroupId {
    text.trim().parse().unwrap_or(NO_GROUP)
}

/// Every group is of the one type there is, under its new or its old name.
fn is_the_cluster_type(value: &str) -> bool {
    matches!(value, "CLUSTER_TYPE_CONTROL_PLANE" | "CLUSTER_TYPE_HYBRID")
}

fn truth(name: &str, value: &str) -> Result<bool, Refusal> {
    value
        .parse()
        .map_err(|_| Refusal::invalid(name, "is_boolean", "must be true or false"))
}

fn labels(value: &str) -> impl Iterator<Item = (String, Option<String>)> {
    let pieces = value.split(',').map(str::trim).filter(|piece| !piece.is_empty());
    pieces.map(|piece| match piece.split_once(':') {
        Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
        None => (piece.to_owned(), None),
    })
}

fn order(value: &str) -> Result<GroupSort, Refusal> {
    let words: Vec<_> = value.split_whitespace().collect();
    match words.as_slice() {
        ["created_at"] | ["created_at", "asc"] => Ok(GroupSort::CreatedAscending),
        ["created_at", "desc"] => Ok(GroupSort::CreatedDescending),
        ["name"] | ["name", "asc"] => Ok(GroupSort::Name),
        _ => Err(Refusal::invalid(
            "sort",
            "enum",
            "must be created_at, created_at desc or name",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(GroupFilter, GroupSort), Refusal> {
        of(&Query::parse(text).unwrap())
    }

    #[test]
    fn filters_labels_and_order_are_read() {
        let (filter, sort) =
            read("filter[name][contains]=eu&labels=env:prod,team&sort=created_at+desc").unwrap();
        assert_eq!(filter.name_contains.as_deref(), Some("eu"));
        let expected = [
            ("env".to_owned(), Some("prod".to_owned())),
            ("team".to_owned(), None),
        ];
        assert_eq!(filter.labels, expected);
        assert_eq!(sort, GroupSort::CreatedDescending);
    }

    #[test]
    fn deleted_groups_are_listed_where_they_are_asked_for() {
        assert!(read("filter[deleted]=true").unwrap().0.deleted);
        assert!(!read("filter[deleted]=false").unwrap().0.deleted);
        assert!(read("filter[deleted]=1").is_err());
    }

    #[test]
    fn what_matches_nothing_lists_nothing() {
        assert_eq!(read("filter[id]=x").unwrap().0.ids, [NO_GROUP]);
        let other_type = "filter[cluster_type]=CLUSTER_TYPE_SERVERLESS";
        assert_eq!(read(other_type).unwrap().0.ids, [NO_GROUP]);
    }

    #[test]
    fn an_unknown_filter_or_order_is_refused() {
        assert!(read("filter[nmae]=x").is_err());
        assert!(read("sort=size").is_err());
    }
}
