package ipc

import "fmt"

// Version is the newest protocol version that this build speaks. The supervisor
// and the worker are built and shipped together, so a newer version normally
// means one thing: the two binaries are not of one build.
//
// History:
//
//	1  the first version.
//	2  a component has several contracts, and an Invoke names an action.
//	3  Welcome chooses the code generator, Ready names the configuration that
//	   comes of it; a worker can be a probe.
//
// What holds for all versions, so that two builds can find out that they do not
// match: the frame header, the codes, bodies and caps of Hello and Bye, their
// order, and the skipping of optional frames. Everything else may change
// with the number. A change goes into the supervisor first: it is the side that
// chooses, so it must know the old and the new version before any worker says
// the new one in Hello.
const Version uint16 = 3

// MinVersion is the oldest protocol version that this build speaks.
const MinVersion uint16 = 3

// Negotiate gives the newest version that both this build and a peer that speaks
// min to max know.
func Negotiate(min, max uint16) (uint16, error) {
	switch {
	case min == 0 || min > max:
		return 0, fmt.Errorf("the peer offers the protocol versions %d to %d, which is no range", min, max)
	case max < MinVersion || min > Version:
		return 0, fmt.Errorf("the peer speaks the protocol versions %d to %d, this build %d to %d", min, max, MinVersion, Version)
	case max < Version:
		return max, nil
	}
	return Version, nil
}
