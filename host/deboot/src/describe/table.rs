//! TOML with places: every value knows where it stands.
use super::Problem;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value and where it begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// Any value.
pub(super) struct Item<'a>(&'a Spanned<DeValue<'a>>);

/// A table.
pub(super) struct Table<'a> {
    name: &'a str,
    table: &'a DeTable<'a>,
    at: usize,
}

/// Reads a document.
pub(super) fn document(text: &str) -> Result<Spanned<DeTable<'_>>, Problem> {
    DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        (at, format!("this is no TOML: {}", error.message()))
    })
}

impl<'a> Item<'a> {
    fn at(&self) -> usize {
        self.0.span().start
    }

    pub(super) fn as_text(&self) -> Option<At<&'a str>> {
        match self.0.get_ref() {
            DeValue::String(text) => Some(At {
                value: text,
                at: self.at(),
            }),
            _ => None,
        }
    }

    pub(super) fn as_table(&self, name: &'a str, keys: &[&str]) -> Result<Table<'a>, Problem> {
        match self.0.get_ref() {
            DeValue::Table(table) => Table::new(name, table, self.at(), keys),
            _ => Err(self.wrong(
                name,
                "a path in quotes, or { source = \"..\", path = \"..\" }",
            )),
        }
    }

    fn wrong(&self, field: &str, expected: &str) -> Problem {
        let found = match self.0.get_ref() {
            DeValue::String(_) => "a text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        (self.at(), format!("{field} is {found}; write {expected}"))
    }
}

impl<'a> Table<'a> {
    pub(super) fn root(table: &'a DeTable<'a>, keys: &[&str]) -> Result<Self, Problem> {
        Self::new("", table, 0, keys)
    }

    fn new(
        name: &'a str,
        table: &'a DeTable<'a>,
        at: usize,
        keys: &[&str],
    ) -> Result<Self, Problem> {
        for (key, _) in table {
            let found: &str = key.get_ref();
            if !keys.contains(&found) {
                let place = if name.is_empty() { "here" } else { name };
                let problem = format!(
                    "unknown key {found:?}; {place} may have {}",
                    keys.join(", ")
                );
                return Err((key.span().start, problem));
            }
        }
        Ok(Self { name, table, at })
    }

    fn field(&self, name: &str) -> String {
        match self.name {
            "" => name.to_owned(),
            table => format!("{table}.{name}"),
        }
    }

    fn get(&self, name: &str) -> Option<Item<'a>> {
        let mut items = self.table.iter();
        items
            .find(|(key, _)| key.get_ref() == name)
            .map(|(_, item)| Item(item))
    }

    pub(super) fn need(&self, name: &str, example: &str) -> Result<Item<'a>, Problem> {
        self.get(name).ok_or_else(|| {
            (
                self.at,
                format!("{} is missing; write {example}", self.field(name)),
            )
        })
    }

    pub(super) fn text(&self, name: &str) -> Result<At<&'a str>, Problem> {
        let item = self.need(name, &format!("{name} = \"...\""))?;
        item.as_text()
            .ok_or_else(|| item.wrong(&self.field(name), "a text in quotes"))
    }

    pub(super) fn optional_text(&self, name: &str) -> Result<Option<At<&'a str>>, Problem> {
        self.get(name).map(|_| self.text(name)).transpose()
    }

    pub(super) fn number(&self, name: &str, max: u64) -> Result<At<u64>, Problem> {
        let item = self.need(name, &format!("{name} = 1"))?;
        let DeValue::Integer(integer) = item.0.get_ref() else {
            return Err(item.wrong(&self.field(name), "a whole number without quotes"));
        };
        u64::from_str_radix(integer.as_str(), integer.radix())
            .ok()
            .filter(|value| *value <= max)
            .map(|value| At {
                value,
                at: item.at(),
            })
            .ok_or_else(|| {
                (
                    item.at(),
                    format!("{} is not between 0 and {max}", self.field(name)),
                )
            })
    }

    pub(super) fn optional_number(&self, name: &str, max: u64) -> Result<Option<At<u64>>, Problem> {
        self.get(name).map(|_| self.number(name, max)).transpose()
    }

    /// Reads a boolean; absent is false.
    pub(super) fn boolean(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None => Ok(false),
            Some(item) => match item.0.get_ref() {
                DeValue::Boolean(value) => Ok(*value),
                _ => Err(item.wrong(&self.field(name), "true or false without quotes")),
            },
        }
    }

    pub(super) fn table(&self, name: &'a str, keys: &[&str]) -> Result<Option<Table<'a>>, Problem> {
        let Some(item) = self.get(name) else {
            return Ok(None);
        };
        match item.0.get_ref() {
            DeValue::Table(table) => Table::new(name, table, item.at(), keys).map(Some),
            _ => Err(item.wrong(name, &format!("a table: [{name}]"))),
        }
    }

    /// Reads a list; absent is empty.
    pub(super) fn list(&self, name: &str, max: usize) -> Result<Vec<Item<'a>>, Problem> {
        let Some(item) = self.get(name) else {
            return Ok(Vec::new());
        };
        let DeValue::Array(list) = item.0.get_ref() else {
            return Err(item.wrong(&self.field(name), "a list in brackets"));
        };
        if list.len() > max {
            let (field, count) = (self.field(name), list.len());
            return Err((
                item.at(),
                format!("{field} has {count} entries; at most {max} are allowed"),
            ));
        }
        Ok(list.iter().map(Item).collect())
    }
}
