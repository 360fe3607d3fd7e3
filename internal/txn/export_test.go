package txn

// Loaded is how many transactions the schedule holds, 0 until all that were accepted before are read.
func Loaded(m *Manager) int {
	m.sched.mu.Lock()
	defer m.sched.mu.Unlock()
	if !m.sched.open {
		return 0
	}
	return len(m.sched.items)
}

// KeepLittle has a manager keep little of its backlog in memory. It must not have been started.
func KeepLittle(m *Manager) { m.sched.backlog = backlog{most: 20, share: 8} }
