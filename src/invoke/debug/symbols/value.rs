//! Values as text: what Rust's types look like in debug information, and what there is of others.

use gimli::{AttributeValue, UnitOffset};

use super::spot::{Machine, Spot, number};
use super::{DEPTH_MAX, Entry, Symbols};

/// Fields within fields that are shown.
const NESTED_MAX: usize = 3;
const ELEMENTS_MAX: usize = 16;
const TEXT_BYTES_MAX: usize = 200;
const UNREAD: &str = "(cannot be read)";

pub(super) struct Reader<'s, 'a> {
    pub symbols: &'s Symbols<'a>,
    pub machine: &'s Machine<'s, 'a>,
}

impl Reader<'_, '_> {
    pub fn show(&self, ty: Entry, spot: &Spot) -> String {
        self.nested(ty, spot, 0).unwrap_or_else(|| UNREAD.to_owned())
    }

    fn nested(&self, ty: Entry, spot: &Spot, depth: usize) -> Option<String> {
        let ty = self.plain(ty)?;
        let name = self.symbols.name(ty).unwrap_or_default();
        match self.symbols.die(ty)?.tag() {
            gimli::DW_TAG_base_type => self.base(ty, spot),
            gimli::DW_TAG_pointer_type => self.pointer(ty, &name, spot, depth),
            gimli::DW_TAG_enumeration_type => self.enumeration(ty, spot),
            gimli::DW_TAG_array_type => {
                let element = self.target(ty)?;
                let count =
                    self.children(ty).into_iter().find_map(|child| self.symbols.number(child, gimli::DW_AT_count));
                self.elements(element, spot, count?, depth)
            }
            gimli::DW_TAG_structure_type | gimli::DW_TAG_class_type => self.structure(ty, &name, spot, depth),
            gimli::DW_TAG_subroutine_type => Some("fn".to_owned()),
            _ => None,
        }
    }

    /// The type behind other names of it.
    fn plain(&self, mut ty: Entry) -> Option<Entry> {
        for _ in 0..DEPTH_MAX {
            match self.symbols.die(ty)?.tag() {
                gimli::DW_TAG_typedef | gimli::DW_TAG_const_type | gimli::DW_TAG_volatile_type => {
                    ty = self.target(ty)?
                }
                _ => return Some(ty),
            }
        }
        None
    }

    /// The type that a field, a pointer or a name is of.
    fn target(&self, entry: Entry) -> Option<Entry> {
        let (unit, value) = self.symbols.attribute(entry, gimli::DW_AT_type)?;
        self.symbols.referred(unit, &value)
    }

    fn size(&self, ty: Entry) -> Option<usize> {
        let ty = self.plain(ty)?;
        match self.symbols.die(ty)?.tag() {
            gimli::DW_TAG_pointer_type => Some(4),
            _ => usize::try_from(self.symbols.number(ty, gimli::DW_AT_byte_size)?).ok(),
        }
    }

    fn children(&self, entry: Entry) -> Vec<Entry> {
        let child = |offset: UnitOffset| Entry { unit: entry.unit, offset };
        self.symbols.children(entry.unit, entry.offset).iter().map(|die| child(die.offset())).collect()
    }

    fn tagged(&self, entry: Entry, tag: gimli::DwTag) -> Vec<Entry> {
        let has_tag = |child: &Entry| self.symbols.die(*child).is_some_and(|die| die.tag() == tag);
        self.children(entry).into_iter().filter(has_tag).collect()
    }

    /// A field's type and place in `spot`.
    fn member(&self, member: Entry, spot: &Spot) -> Option<(Entry, Spot)> {
        let offset = usize::try_from(self.symbols.number(member, gimli::DW_AT_data_member_location)?).ok()?;
        let ty = self.target(member)?;
        let spot = match spot {
            Spot::Memory(address) => Spot::Memory(address.checked_add(u32::try_from(offset).ok()?)?),
            Spot::Held(bytes) => Spot::Held(bytes.get(offset..)?.to_vec()),
        };
        Some((ty, spot))
    }

    fn named(&self, ty: Entry, name: &str, spot: &Spot) -> Option<(Entry, Spot)> {
        let members = self.tagged(self.plain(ty)?, gimli::DW_TAG_member);
        let member = members.into_iter().find(|member| self.symbols.name(*member).as_deref() == Some(name))?;
        self.member(member, spot)
    }

    fn base(&self, ty: Entry, spot: &Spot) -> Option<String> {
        let size = self.size(ty)?;
        let bytes = self.machine.read(spot, 0, size)?;
        let bits = number(&bytes);
        let encoding = match self.symbols.attribute(ty, gimli::DW_AT_encoding)?.1 {
            AttributeValue::Encoding(encoding) => encoding,
            _ => return None,
        };
        Some(match encoding {
            gimli::DW_ATE_boolean => (bits != 0).to_string(),
            gimli::DW_ATE_UTF => format!("{:?}", char::from_u32(bits as u32)?),
            gimli::DW_ATE_float if size == 4 => f32::from_bits(bits as u32).to_string(),
            gimli::DW_ATE_float => f64::from_bits(bits).to_string(),
            _ if size == 0 => "()".to_owned(),
            gimli::DW_ATE_signed | gimli::DW_ATE_signed_char if size == 16 => {
                i128::from_le_bytes(bytes.try_into().ok()?).to_string()
            }
            _ if size == 16 => u128::from_le_bytes(bytes.try_into().ok()?).to_string(),
            gimli::DW_ATE_signed | gimli::DW_ATE_signed_char => {
                let unused = 64 - 8 * u32::try_from(size.min(8)).ok()?;
                (bits.cast_signed() << unused >> unused).to_string()
            }
            _ => bits.to_string(),
        })
    }

    /// A reference shows what it is of; a pointer is an address.
    fn pointer(&self, ty: Entry, name: &str, spot: &Spot, depth: usize) -> Option<String> {
        let address = self.address(spot)?;
        if name.starts_with('&') && depth < NESTED_MAX {
            let shown = self.target(ty).and_then(|ty| self.nested(ty, &Spot::Memory(address), depth + 1));
            return Some(shown.map_or_else(|| format!("{address:#x}"), |shown| format!("&{shown}")));
        }
        Some(format!("{address:#x}"))
    }

    fn address(&self, spot: &Spot) -> Option<u32> {
        u32::try_from(number(&self.machine.read(spot, 0, 4)?)).ok()
    }

    fn enumeration(&self, ty: Entry, spot: &Spot) -> Option<String> {
        let value = number(&self.machine.read(spot, 0, self.size(ty)?)?);
        let found = self
            .tagged(ty, gimli::DW_TAG_enumerator)
            .into_iter()
            .find(|enumerator| self.constant(*enumerator, gimli::DW_AT_const_value) == Some(value));
        Some(found.and_then(|found| self.symbols.name(found)).unwrap_or_else(|| value.to_string()))
    }

    fn constant(&self, entry: Entry, name: gimli::DwAt) -> Option<u64> {
        let value = self.symbols.attribute(entry, name)?.1;
        value.udata_value().or_else(|| value.sdata_value().map(i64::cast_unsigned))
    }

    fn structure(&self, ty: Entry, name: &str, spot: &Spot, depth: usize) -> Option<String> {
        if let Some(variants) = self.tagged(ty, gimli::DW_TAG_variant_part).first() {
            return self.variant(*variants, spot, depth);
        }
        if let (Some(pointer), Some(length)) = (self.named(ty, "data_ptr", spot), self.named(ty, "length", spot)) {
            return self.sequence(name.contains("str"), pointer, length, depth);
        }
        let vector = if name == "String" { self.named(ty, "vec", spot) } else { None };
        let (vector, at) = vector.unwrap_or((ty, spot.clone()));
        if (name == "String" || name.starts_with("Vec<"))
            && let (Some(buffer), Some(length)) = (self.named(vector, "buf", &at), self.named(vector, "len", &at))
        {
            let element = self
                .tagged(vector, gimli::DW_TAG_template_type_parameter)
                .first()
                .and_then(|first| self.target(*first))?;
            let address = self.first_pointer(buffer, DEPTH_MAX)?;
            let count = number(&self.machine.read(&length.1, 0, 4)?);
            return match name == "String" {
                true => self.text(address, count),
                false => self.elements(element, &Spot::Memory(address), count, depth),
            };
        }
        self.fields(ty, name, spot, depth)
    }

    /// A slice or a string slice.
    fn sequence(&self, is_text: bool, pointer: (Entry, Spot), length: (Entry, Spot), depth: usize) -> Option<String> {
        let address = self.address(&pointer.1)?;
        let count = number(&self.machine.read(&length.1, 0, 4)?);
        match is_text {
            true => self.text(address, count),
            false => self.elements(self.target(self.plain(pointer.0)?)?, &Spot::Memory(address), count, depth),
        }
    }

    /// The address in the first field that is a pointer, or that has one.
    fn first_pointer(&self, (ty, spot): (Entry, Spot), depth: usize) -> Option<u32> {
        let ty = self.plain(ty)?;
        match self.symbols.die(ty)?.tag() {
            gimli::DW_TAG_pointer_type => self.address(&spot),
            gimli::DW_TAG_structure_type if depth > 0 => {
                let members = self.tagged(ty, gimli::DW_TAG_member).into_iter();
                let mut members = members.filter_map(|member| self.member(member, &spot));
                members.find_map(|member| self.first_pointer(member, depth - 1))
            }
            _ => None,
        }
    }

    fn text(&self, address: u32, length: u64) -> Option<String> {
        let length = usize::try_from(length).ok()?;
        let bytes = self.machine.read(&Spot::Memory(address), 0, length.min(TEXT_BYTES_MAX))?;
        let more = if length > TEXT_BYTES_MAX { format!(" .. ({length} bytes)") } else { String::new() };
        Some(format!("{:?}{more}", String::from_utf8_lossy(&bytes)))
    }

    fn elements(&self, ty: Entry, spot: &Spot, count: u64, depth: usize) -> Option<String> {
        if depth >= NESTED_MAX {
            return Some("[..]".to_owned());
        }
        let (size, count) = (self.size(ty)?, usize::try_from(count).ok()?);
        if self.symbols.name(ty).as_deref() == Some("u8") {
            let bytes = self.machine.read(spot, 0, count.min(TEXT_BYTES_MAX))?;
            let more = if count > TEXT_BYTES_MAX { format!(" .. ({count} bytes)") } else { String::new() };
            return Some(format!("b\"{}\"{more}", bytes.escape_ascii()));
        }
        let mut shown = Vec::new();
        for index in 0..count.min(ELEMENTS_MAX) {
            let offset = index.checked_mul(size)?;
            let spot = match spot {
                Spot::Memory(address) => Spot::Memory(address.checked_add(u32::try_from(offset).ok()?)?),
                Spot::Held(bytes) => Spot::Held(bytes.get(offset..)?.to_vec()),
            };
            shown.push(self.nested(ty, &spot, depth + 1)?);
        }
        let more = if count > ELEMENTS_MAX { format!(", .. ({count} in all)") } else { String::new() };
        Some(format!("[{}{more}]", shown.join(", ")))
    }

    /// The variant that the value is: the one that its tag names, else the one without a tag.
    fn variant(&self, variants: Entry, spot: &Spot, depth: usize) -> Option<String> {
        let all = self.tagged(variants, gimli::DW_TAG_variant);
        let tag = self
            .symbols
            .attribute(variants, gimli::DW_AT_discr)
            .and_then(|(unit, tag)| self.symbols.referred(unit, &tag));
        let value = tag.and_then(|tag| {
            let (ty, at) = self.member(tag, spot)?;
            let size = self.size(ty)?;
            Some((number(&self.machine.read(&at, 0, size)?), size))
        });
        // A tag is compared in its own size: some compilers write it with a sign.
        let mask = value.map_or(u64::MAX, |(_, size)| u64::MAX >> (64 - 8 * size.clamp(1, 8)));
        let named = |variant: &&Entry| match (self.constant(**variant, gimli::DW_AT_discr_value), value) {
            (Some(expected), Some((value, _))) => expected & mask == value & mask,
            (Some(_), None) | (None, _) => false,
        };
        let default = |variant: &&Entry| self.constant(**variant, gimli::DW_AT_discr_value).is_none();
        let variant = all.iter().find(named).or_else(|| all.iter().find(default))?;
        let member = *self.tagged(*variant, gimli::DW_TAG_member).first()?;
        let (ty, at) = self.member(member, spot)?;
        let name = self.symbols.name(member).or_else(|| self.symbols.name(ty)).unwrap_or_default();
        self.fields(self.plain(ty)?, &name, &at, depth)
    }

    fn fields(&self, ty: Entry, name: &str, spot: &Spot, depth: usize) -> Option<String> {
        let members = self.tagged(ty, gimli::DW_TAG_member);
        if members.is_empty() {
            return Some(name.to_owned());
        }
        let is_tuple = |name: &str| name.starts_with("__");
        if depth >= NESTED_MAX {
            return Some(format!("{name} {{ .. }}"));
        }
        let mut shown = Vec::new();
        let mut tuple = false;
        for member in members {
            let field = self.symbols.name(member).unwrap_or_default();
            let (ty, at) = self.member(member, spot)?;
            let value = self.nested(ty, &at, depth + 1).unwrap_or_else(|| UNREAD.to_owned());
            tuple = is_tuple(&field);
            shown.push(if tuple { value } else { format!("{field}: {value}") });
        }
        let shown = shown.join(", ");
        let name = if name.starts_with('(') { "" } else { name };
        Some(if tuple { format!("{name}({shown})") } else { format!("{name} {{ {shown} }}") })
    }
}
