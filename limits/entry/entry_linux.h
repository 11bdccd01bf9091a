#ifndef GREENTIC_ENTRY_H
#define GREENTIC_ENTRY_H

// One wall as the constructor left it. Go reads these; nothing writes them after
// main has begun.
struct entry_step {
	const char *wall;  // name in the receipt
	const char *where; // place of the failure; static text
	int err;           // errno of the failure, 0 if none
	int asked;
	int optional;
	int unsupported; // the kernel does not have it; Landlock only, the others are older than any kernel in use
	int done;
};

enum { ENTRY_CHECK, ENTRY_MOUNT, ENTRY_ID, ENTRY_CAPS, ENTRY_NNP, ENTRY_NODUMP, ENTRY_LANDLOCK, ENTRY_STEPS };

extern struct entry_step entry_steps[ENTRY_STEPS];
extern int entry_ran;             // argv[1] was "serve"
extern int entry_failed;          // index of the step that failed, or -1
extern int entry_bounding_empty;  // 1 if the bounding set was emptied
extern int entry_landlock_abi;    // the version of Landlock whose rights are handled; 0 if none
extern unsigned entry_id;         // the id asked for

int entry_die_on_fault(void); // 0 or errno

#endif
