package amazon

import "strings"

// What names consist of is looked at by hand: compiled patterns with such lengths in them would take a megabyte of each process, with brokers or without.

// ordered is how the name of a queue or topic ends that keeps the order of groups.
const ordered = ".fifo"

// IsName says whether a queue or topic can have a name, most being how many characters there may be.
func IsName(name string, most int) bool {
	stem := strings.TrimSuffix(name, ordered)
	return stem != "" && len(name) <= most && only(stem, isNameCharacter)
}

// IsLabel says whether a text can be a part of the name of a host, such as a region.
func IsLabel(text string) bool {
	return text != "" && only(text, func(r rune) bool { return isLower(r) || isDigit(r) || r == '-' })
}

// ARN takes apart the ARN of something that a service has.
func ARN(text, service string) (region, resource string, ok bool) {
	const (
		parts  = 6 // arn:aws:<service>:<region>:<account>:<resource>
		digits = 12
	)
	part := strings.SplitN(text, ":", parts)
	if len(part) < parts {
		return "", "", false
	}
	partition, aws := strings.CutPrefix(part[1], "aws")
	account := part[4]
	ok = part[0] == "arn" && aws && only(partition, func(r rune) bool { return isLower(r) || r == '-' }) &&
		part[2] == service && len(account) == digits && only(account, isDigit)
	return part[3], part[5], ok
}

// isRegion says whether a text has the form of the name of a region, such as eu-central-1.
func isRegion(text string) bool {
	const least, most = 2, 4
	area, rest, more := strings.Cut(text, "-")
	if !more || len(area) < least || len(area) > most || !only(area, isLower) {
		return false
	}
	for part := range strings.SplitSeq(rest, "-") {
		if part == "" || !IsLabel(part) {
			return false
		}
	}
	return true
}

// isRole says whether a text is the ARN of a role.
func isRole(text string) bool {
	const most = 512
	region, resource, ok := ARN(text, "iam")
	name, role := strings.CutPrefix(resource, "role/")
	return ok && region == "" && role && name != "" && len(name) <= most &&
		only(name, func(r rune) bool { return isNameCharacter(r) || strings.ContainsRune("+=,.@/", r) })
}

// isAttribute says whether an attribute of a message can have a name.
func isAttribute(name string) bool {
	const most = 256
	if len(name) > most {
		return false
	}
	for part := range strings.SplitSeq(name, ".") {
		if part == "" || !only(part, isNameCharacter) {
			return false
		}
	}
	return true
}

func only(text string, legal func(r rune) bool) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return !legal(r) })
}

func isNameCharacter(r rune) bool {
	return isLower(r) || r >= 'A' && r <= 'Z' || isDigit(r) || r == '_' || r == '-'
}

func isLower(r rune) bool { return r >= 'a' && r <= 'z' }

func isDigit(r rune) bool { return r >= '0' && r <= '9' }
