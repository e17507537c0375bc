package postgres

import (
	"net"
	"time"
)

// dialer makes connections that notice within half a minute that the server's machine is gone.
var dialer = net.Dialer{
	KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3},
	Control:         limitSilence,
}

// maxSilence is how long what was sent may stay unacknowledged.
const maxSilence = 30 * time.Second
