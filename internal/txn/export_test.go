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
