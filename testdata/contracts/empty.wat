;; A component with nothing but types in it, as there is one in published packs.
(component
  (type $json string)
  (type (record (field "text" $json))))
