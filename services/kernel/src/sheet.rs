//! What a noun looks like in a spreadsheet: described once, beside the noun, and read by import, export and template alike.
//!
//! Pure description: it opens no file and knows no noun.

/// The sheet of one noun.
#[derive(Debug)]
pub struct Sheet {
    /// What commands call it, where that is not its collection.
    pub kind: Option<&'static str>,
    /// What offices call it: `社会工作机构`.
    pub title: &'static str,
    /// Its columns in the order a template has them.
    pub columns: &'static [Column],
    /// What a file of it may be instead.
    pub other: Option<Other>,
}

/// The other side's half of what a sheet tells, in a file with the same columns but for one.
#[derive(Clone, Copy, Debug)]
pub struct Other {
    /// The collection of the other half.
    pub kind: &'static str,
    /// The column of its sheet by which a file is known to be of it.
    pub column: &'static str,
}

impl Sheet {
    /// A sheet with these columns.
    #[must_use]
    pub const fn new(title: &'static str, columns: &'static [Column]) -> Self {
        Self { kind: None, title, columns, other: None }
    }

    /// What commands call it.
    #[must_use]
    pub const fn called(self, kind: &'static str) -> Self {
        Self { kind: Some(kind), ..self }
    }

    /// A file that has this column of the sheet of `kind` is one of that.
    #[must_use]
    pub const fn or(self, kind: &'static str, column: &'static str) -> Self {
        Self { other: Some(Other { kind, column }), ..self }
    }
}

/// One column.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name in English and in scripts: `uscc`.
    pub field: &'static str,
    /// Its header in Chinese: `统一社会信用代码`.
    pub header: &'static str,
    /// Other headers that offices write.
    pub variants: &'static [&'static str],
    /// The field of the message it fills.
    pub path: &'static str,
    /// What stands in its cells.
    pub cell: Cell,
    /// A row without it is refused.
    pub required: bool,
    /// It is part of the natural key.
    pub key: bool,
    /// What the template's filled row shows.
    pub example: &'static str,
}

/// What stands in a cell.
#[derive(Clone, Copy, Debug)]
pub enum Cell {
    /// A text as it stands.
    Text,
    /// A code: text, whatever the office's program made of it.
    Code,
    /// A personal number: a code that no receipt, error or log repeats, and no export answers.
    Secret,
    /// A day; a month alone is its first.
    Day,
    /// A day that something lasts until; a month alone is its last.
    LastDay,
    /// Several texts, between `；`.
    Texts,
    /// A whole number.
    Count,
    /// Money in yuan with two decimals at most; the field holds 分.
    Yuan,
    /// Yes or no.
    Flag,
    /// Several whole numbers, between `；`.
    Counts,
    /// One of a closed list.
    Choice(&'static [Choice]),
    /// Several of a closed list, between `；`.
    Choices(&'static [Choice]),
    /// Another record by its natural key: a text that the exporter reads from `field` of that record.
    Reference {
        /// Its collection.
        kind: &'static str,
        /// The field of its message that holds its natural key.
        field: &'static str,
    },
    /// Another record by its title, at or below a division.
    Placed {
        /// Its collection.
        kind: &'static str,
        /// The field of its message that holds its title.
        field: &'static str,
        /// Digits of the row's division that say where it is looked for.
        digits: usize,
    },
    /// Several messages, between `；`, each with these parts in their order, between `｜`.
    Parts(&'static [Column]),
}

/// Digits of the longest code of a division.
pub const ALL_DIGITS: usize = 12;

/// One value of a closed list.
#[derive(Clone, Copy, Debug)]
pub struct Choice {
    /// The enum value's name without its prefix: `COUNTY_CENTRE`.
    pub name: &'static str,
    /// What offices write, and what exports and drop-downs show: `县级指导中心`.
    pub text: &'static str,
    /// Other ways to write it.
    pub variants: &'static [&'static str],
}

impl Column {
    /// An optional column that fills the field of its own name.
    #[must_use]
    pub const fn new(field: &'static str, header: &'static str, cell: Cell) -> Self {
        Self { field, header, variants: &[], path: field, cell, required: false, key: false, example: "" }
    }

    /// Other headers for it.
    #[must_use]
    pub const fn or(self, variants: &'static [&'static str]) -> Self {
        Self { variants, ..self }
    }

    /// The field it fills, where that has another name.
    #[must_use]
    pub const fn fills(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    /// It must be there.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// It is part of the natural key.
    #[must_use]
    pub const fn key(self) -> Self {
        Self { key: true, ..self }
    }

    /// What the template shows in it.
    #[must_use]
    pub const fn example(self, example: &'static str) -> Self {
        Self { example, ..self }
    }
}

impl Choice {
    /// A value with its text and other ways to write it.
    #[must_use]
    pub const fn new(name: &'static str, text: &'static str, variants: &'static [&'static str]) -> Self {
        Self { name, text, variants }
    }
}
