// Package greentic keeps values where Greentic's own runtime reads them, so that a
// set-up done with this program is seen there: secrets in its development secrets
// store, configuration in the envelope that it keeps beside each provider. Formats
// are those of greentic-secrets 1.1.1 and greentic-setup 0.5.12; the tests read files
// that those programs wrote.
//
// # Names
//
// A Namespace becomes five of Greentic's names. Parts that were not given are what
// greentic-setup takes then: the environment is GREENTIC_ENV or "dev", the tenant
// "demo", the team "_" (as for "default" in any case), the provider "messaging". So
// an absent part and its default are one place. Names are of a-z, 0-9, '-', '_' and
// single dots inside; a namespace that says anything else is refused, since to fold
// it would put two tenants into one place.
//
// Greentic knows one installation of a provider. The installation "default" is that
// one. Others, and the areas other than Live, are kept under names that Greentic's
// programs do not ask for, with two dots where no name can have them:
// provider..install and provider..install..area.
//
// # Secrets
//
// A secret is at secrets://{env}/{tenant}/{team}/{provider}/{name}, name being the
// key in Greentic's canonical spelling: lower case, one '_' for a run of '-', '.',
// ' ', '/' and '_', none at the ends, nothing for other characters, "secret" for
// nothing. A key that is spelled otherwise is kept as a tag beside its secret, which
// Greentic carries along. Two keys with one name are an error.
//
// The file is one line of text with a JSON document in base64. Setting a live secret
// adds a version and deleting it adds a deleted one, as in Greentic; the versions
// before stay in the file. In the other areas nothing of what is deleted stays. A
// value that is already there is not written again. What else is in the file stays
// as it is: other secrets, members and lines that are not known here.
//
// The store hides secrets and does not encrypt them, see Warning.
//
// Greentic's reader remembers the data key of the first secret of a provider that it
// meets and takes it for all others, so secrets that two of its runs wrote cannot be
// read in one ("message authentication failed"). What is written here reuses the key
// that is there.
//
// # Configuration
//
// Configuration is the member "config" of .providers/{provider}/config.envelope.cbor,
// a document in canonical CBOR. Its path names neither environment nor tenant nor
// team, as Greentic has one configuration per provider and bundle; here the envelope
// says whose it is, in a member that Greentic ignores, and every other namespace of
// the provider is refused with its first Load. One that Greentic made is whose asks
// for it, until somebody writes to it here, and again after a commit of the entry
// "remove". Installations other than default, and areas other than Live, are files of
// the same form in .greentic/provision. An envelope without configuration is removed,
// unless somebody else had made it.
//
// The other members say what the configuration is for:
//
//	component_id     the first component of the pack in the bundle (providers/, packs/)
//	                 that has the provider's id; the provider where there is none
//	describe_hash    what Greentic compares with that of the pack ("contract drift"):
//	                 128 bits of BLAKE3 over the id, version and operation names of
//	                 that component. Its programs on greentic-types 0.5 and on 1.1
//	                 compute different hashes of one pack. The one of 0.5 is written;
//	                 an envelope that has the one of 1.1 keeps it. Without a pack that
//	                 can be read, what is there stays, and a new envelope has the hash
//	                 of the provider's id, as Greentic's would
//	resolved_digest  128 bits of BLAKE3 over the pack; without one, the pack digest of
//	                 the commit's Origin. Nothing compares it; greentic-start doctor
//	                 warns that there is no contract cached under it
//	operation_id     the entry as Greentic calls its flow: setup_default
//	abi_version      "greentic:component@0.6.0"; Greentic writes no other
//	updated_at       is left out, as by greentic-setup: one commit gives one file. A
//	                 date of somebody else goes with the change that makes it untrue
//	schema_hash      is optional, compared by nothing, and stays while describe_hash does
//
// Numbers with a fraction are written as CBOR floats, which Greentic reads but would
// not write.
//
// # Mirrors
//
// Many of Greentic's components look for their configuration in the secrets store and
// nowhere else, so its setup copies every value there. Here it is mirrored too, in the
// store that Secrets gives of the bundle, at the URI of a secret of that key: texts as
// they are, everything else as its canonical JSON (1.0 is "1", and "1.0" in Greentic's
// copy), nothing for null, "" and "null". Of two keys with one name the last in order
// has it. The copies that Greentic makes for the secret requirements of a pack, under
// any required name that ends in that of a value, are not made.
//
// A mirror has a tag. Secrets neither lists nor loads what has it, and deletes none. A
// secret wins: where one is, there is no mirror, and one that is set takes the mirror's
// place. When it is deleted the mirror comes back with the next batch of configuration.
// What Greentic wrote has no tag, so the copies of its setup are secrets here, and stay
// as they are when the configuration changes.
//
// Each batch makes all mirrors what the envelope says. They are of the default
// installation's Live area, and there while the envelope says whose it is: they go with
// its last value and with a commit of the entry "remove". They are written first and the
// envelope last, and only the envelope is read, so a batch that failed or crashed has
// not happened, and applying it again makes both files what they are to be. What cannot
// be mirrored is refused, also where it is only staged: for want of room that is from
// some 13 MiB on, old versions counted, as in the store a byte takes about five.
//
// # Writing
//
// A batch is one replacement of one file, or of the store and then an envelope:
// temporary file, fsync, rename, fsync of the directory. Writers of this program take
// turns with flock on the store's file or on .providers. Greentic's programs lock the
// store's file too, so none is read half written; but they keep in memory what they
// read and write all of it back, and one that waits for the lock while the file is
// replaced writes to the replaced one. Do not run greentic-setup on a bundle at the
// same time.
//
// A new file has mode 0600; one that is there keeps owner and mode, except that an
// envelope with a secret value in it is for its owner only. Links are followed. A
// file of more than 64 MiB or one that is not of the form is an error and stays.
package greentic
