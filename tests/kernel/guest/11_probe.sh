polythrottle probe >/tmp/probe 2>&1
sed 's/^/note /' /tmp/probe >/dev/ttyS1
