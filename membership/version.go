package membership

import (
	"fmt"
	"runtime/debug"
)

// maxVersionLength is the largest number of bytes of Version. The version of a build from a
// repository, with the time and the commit, has about 40.
const maxVersionLength = 64

const versionBound = "at most 64 bytes of printable UTF-8"

// checkVersion holds the rules for a version. It is text for people: no decision depends on
// it, and two members with different versions agree on everything.
func checkVersion(version string) error {
	if len(version) > maxVersionLength {
		return fmt.Errorf("version of %d bytes: must be %s", len(version), versionBound)
	}
	return checkText("version", version)
}

// buildVersion returns the version of the program's main module, as the go command recorded
// it. It is empty for a program without one, such as a test.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "(devel)" || checkVersion(info.Main.Version) != nil {
		return ""
	}
	return info.Main.Version
}

// withVersion returns the member with a version, where that fits beside its other values, and
// without a version elsewhere. So a version never keeps a member from announcing the rest.
func withVersion(m Member, version string) Member {
	m.Version = version
	if checkMetaSize(m) != nil {
		m.Version = ""
	}
	return m
}
